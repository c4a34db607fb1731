# The server and nothing else: docker build -t eyebright . (see docs/how-to/deploy.md). Where there is no builder,
# tests/serving/deploy/test_dockerfile.py runs the steps of the stage `build`.
ARG BASE=python:3.13-slim-trixie

FROM ${BASE} AS build
WORKDIR /build
# What builds the package stays in this stage. What serves lies in /opt/eyebright, without pip; both at the versions and
# hashes of the locks.
COPY requirements-build.lock requirements-serve.lock ./
RUN python -m venv tools \
 && tools/bin/python -m pip install --no-cache-dir --no-deps --require-hashes --only-binary=:all: -r requirements-build.lock
RUN python -m venv --without-pip /opt/eyebright \
 && tools/bin/python -m pip --python /opt/eyebright install --no-cache-dir --no-deps --require-hashes --only-binary=:all: -r requirements-serve.lock
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN tools/bin/python -m pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
 && tools/bin/python -m pip --python /opt/eyebright install --no-cache-dir --no-deps --no-index dist/*.whl

FROM ${BASE}
COPY --from=build /opt/eyebright /opt/eyebright
ENV PATH=/opt/eyebright/bin:$PATH
# Nothing is written but what several workers share, in /tmp: the root may be read-only.
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --start-interval=1s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["eyebright", "serve", "--host", "0.0.0.0"]
# Others can reach it, so that it asks for keys. `docker run … eyebright /models/model.eyebright --no-keys` lets everyone ask.
CMD ["/models/model.eyebright", "--keys", "/run/secrets/keys"]
