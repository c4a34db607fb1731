import os
import subprocess
import sys

import numpy as np
import pytest

from eyebright.models import Architecture
from eyebright.run_directory import RunDirectory
from eyebright.training import precision
from eyebright.training.precision import resolve_precision

CIFAR10 = {"image_shape": (32, 32, 3), "classes": 10, "preprocessing": "mean-image"}
TUTORIAL = Architecture(model="fc", **CIFAR10)
CONVOLUTIONAL = Architecture(model="cnn", **CIFAR10)
large = pytest.mark.parametrize("architecture", [TUTORIAL, CONVOLUTIONAL], ids=["fc", "cnn"])


@pytest.fixture
def processor(monkeypatch, tmp_path):
    """Make the processor one with these flags."""
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")

    def with_flags(*flags):
        cpuinfo = tmp_path / "cpuinfo"
        cpuinfo.write_text(f"processor\t: 0\nflags\t\t: fpu avx2 {' '.join(flags)} sse2\nbugs\t\t: amx_bf16\n")
        monkeypatch.setattr(precision, "_CPUINFO", cpuinfo)

    return with_flags


@large
@pytest.mark.parametrize("flag", ["amx_bf16", "avx512_bf16"])
def test_auto_is_bfloat16_where_the_processor_has_it(processor, flag, architecture):
    processor(flag)
    chosen, reason = resolve_precision("auto", architecture)
    assert chosen == "bfloat16"
    assert flag in reason


@large
def test_auto_is_float32_on_a_processor_without_the_flags(processor, architecture):
    processor("avx512f")
    assert resolve_precision("auto", architecture) == ("float32", "this processor has no bfloat16 arithmetic")


def test_auto_is_float32_where_the_flags_cannot_be_read(processor, monkeypatch, tmp_path):
    monkeypatch.setattr(precision, "_CPUINFO", tmp_path / "missing")
    assert resolve_precision("auto", TUTORIAL)[0] == "float32"


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("ONEDNN_MAX_CPU_ISA", "AVX2", "float32"),
        ("ONEDNN_MAX_CPU_ISA", "AVX512_CORE", "float32"),
        ("ONEDNN_MAX_CPU_ISA", "all", "bfloat16"),
        ("ONEDNN_MAX_CPU_ISA", "DEFAULT", "bfloat16"),
        ("TF_ENABLE_ONEDNN_OPTS", "0", "float32"),
        ("TF_ENABLE_ONEDNN_OPTS", "1", "bfloat16"),
    ],
)
@large
def test_auto_heeds_what_the_matrix_library_is_told(processor, monkeypatch, architecture, variable, value, expected):
    processor("amx_bf16", "avx512_bf16")
    monkeypatch.setenv(variable, value)
    assert resolve_precision("auto", architecture)[0] == expected


def test_a_run_on_a_lesser_processor_is_in_float32_and_says_so(npz_file, tmp_path):
    """In a process of its own: the matrix library reads the variable once."""
    arguments = ["--model", "cnn", "--channels", "4", "--max-steps", "2", "--run-dir", tmp_path / "run"]
    command = [sys.executable, "-m", "eyebright", "train", npz_file, *arguments]
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "Precision float32: ONEDNN_MAX_CPU_ISA=AVX2 leaves bfloat16 arithmetic out" in done.stdout.splitlines()
    assert RunDirectory.open(tmp_path / "run").results["precision"] == "float32"


def test_auto_is_float32_for_models_too_small_to_gain(processor):
    processor("amx_bf16")
    assert resolve_precision("auto", Architecture(model="softmax", **CIFAR10))[0] == "float32"
    digits = Architecture(model="fc", hidden_units=512, image_shape=(8, 8, 1), classes=10, preprocessing="mean-image")
    assert resolve_precision("auto", digits)[0] == "float32"


@pytest.mark.parametrize("asked", ["float32", "bfloat16", "float64"])
def test_what_is_asked_for_is_taken(processor, asked):
    processor()
    assert resolve_precision(asked, TUTORIAL) == (asked, "as set")


def test_bfloat16_multiplies_in_bfloat16_and_keeps_weights_sums_and_logits_in_float32(make_training):
    training = make_training(precision="bfloat16", optimizer="adam", batch_norm=True, averaging="ema")
    hidden = training.model.get_layer("hidden_1")
    assert hidden.compute_dtype == "bfloat16"
    integers = {"optimizer/0"}  # the count of steps
    variables = training.engine.variables
    assert {variables[name].numpy().dtype for name in variables.keys() - integers} == {np.dtype(np.float32)}
    before = hidden.kernel.numpy()
    records = training.train(0, 3, rate=1e-6)
    assert records.logits.dtype == records.losses.dtype == np.float32
    change = np.abs(hidden.kernel.numpy() - before)
    assert change.max() > 0
    # Of weights around 0.1, a bfloat16 could not even show changes so small.
    assert change.max() < 1e-4
