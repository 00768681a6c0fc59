from stages import arms


def test_an_arm_is_a_file_that_training_left(tmp_path):
    assert arms.file(tmp_path, "adapter") == tmp_path / "adapter.safetensors"
    assert arms.file(tmp_path, "step-00000150") == tmp_path / "checkpoints" / "00000150.safetensors"


def test_an_arm_knows_its_steps_and_the_end_of_training_does_not():
    assert arms.steps("step-00000150") == 150
    assert arms.steps("adapter") is None
    assert arms.named("step-00000150") == "after 150 steps of training"
