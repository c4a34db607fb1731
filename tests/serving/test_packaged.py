import numpy as np

from eyebright import load_dataset, preset_settings, train


def test_a_run_is_packaged_and_answers_as_its_classifier_does(start, tmp_path):
    digits = load_dataset("digits")
    settings = preset_settings("default", model="softmax", epochs=1, batch_size=100)
    run = train(settings, digits, tmp_path / "run")
    server = start(run.path)
    answer = server.post("/v1/models/run:predict", json={"instances": digits.images[:20].tolist()})
    np.testing.assert_allclose(answer.json()["predictions"], run.classifier.predict(digits.images[:20]), atol=1e-4)
    about = server.get("/about").json()
    assert about["accuracy"] == run.results["test_accuracy"]
    assert about["trained_on"]["name"] == "digits"
