"""The Kubernetes manifest: a server runs with its arguments, answers its probes, and its parts fit each other."""

import json
import re
from pathlib import Path

import pytest
import yaml

from eyebright.serving.keys import new_key

ROOT = Path(__file__).parents[3]
MANIFEST = ROOT / "deploy" / "kubernetes.yaml"


@pytest.fixture
def objects():
    return {one["kind"]: one for one in yaml.safe_load_all(MANIFEST.read_text(encoding="utf-8"))}


@pytest.fixture
def pod(objects):
    return objects["Deployment"]["spec"]["template"]["spec"]


@pytest.fixture
def container(pod):
    (container,) = pod["containers"]
    return container


def dockerfile(instruction):
    """What the Dockerfile says last by an instruction."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    return re.findall(rf"^{instruction} (.*)$", text, re.MULTILINE)[-1]


def test_a_server_runs_with_its_arguments_and_answers_its_probes(container, start, artefact, tmp_path):
    new_key(tmp_path / "keys", "phone")
    places = {"/models/model.eyebright": artefact, "/run/secrets/eyebright/keys": tmp_path / "keys"}
    assert set(places) <= set(container["args"])
    _, serve, *first = json.loads(dockerfile("ENTRYPOINT"))
    assert serve == "serve"
    server = start(*first, *(places.get(argument, argument) for argument in container["args"]))
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert server.get(container[probe]["httpGet"]["path"]).status_code == 200
    assert server.predict(b"").status_code == 401


def test_ports_names_and_labels_meet(objects, pod, container):
    assert container["ports"] == [{"name": "http", "containerPort": int(dockerfile("EXPOSE"))}]
    assert objects["Service"]["spec"]["ports"][0]["targetPort"] == "http"
    assert {container[probe]["httpGet"]["port"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")} == {
        "http"
    }
    labels = objects["Deployment"]["spec"]["template"]["metadata"]["labels"]
    for kind, selector in [
        ("Deployment", objects["Deployment"]["spec"]["selector"]["matchLabels"]),
        ("Service", objects["Service"]["spec"]["selector"]),
        ("PodDisruptionBudget", objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"]),
        ("NetworkPolicy", objects["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"]),
    ]:
        assert selector.items() <= labels.items(), kind
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


def test_it_runs_as_the_images_user_without_any_privilege(pod, container):
    user, group = map(int, dockerfile("USER").split(":"))
    assert pod["securityContext"].items() >= {"runAsNonRoot": True, "runAsUser": user, "runAsGroup": group}.items()
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not pod["automountServiceAccountToken"]


def test_there_is_time_to_answer_what_was_asked(pod, container):
    """The pause, a second of /readyz at 503, and the server's own longest: see serving/server.py."""
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] >= pause + 1 + 45
