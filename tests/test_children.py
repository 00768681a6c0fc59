from stages import children


def test_only_our_part_of_the_environment_goes_to_another_process(monkeypatch):
    monkeypatch.setenv("DARKROOM_CACHE", "the cache")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not for others")
    packed = children.pack(str)
    assert b"the cache" in packed
    assert b"not for others" not in packed
