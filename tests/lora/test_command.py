"""``python -m stages.lora``: every command from file to file, and what it says when it cannot."""

import json

import numpy as np
import pytest
import torch

from stages.lora import about, files
from stages.lora.__main__ import main
from stages.lora.layers import Layer, Lora


def run(*arguments):
    return main([str(argument) for argument in arguments])


def deltas(file):
    return {name: layer.delta() for name, layer in files.read(file).layers.items()}


def close(found, wanted):
    assert found.keys() == wanted.keys()
    for name, delta in found.items():
        torch.testing.assert_close(delta, wanted[name], atol=1e-5, rtol=1e-5)


@pytest.fixture
def two(cases):
    """A base's name and two adapters for it."""
    family, first, _ = cases("sd15 conv")
    return family, first, cases("sd15 conv", seed=1)[1]


def test_stack_adds_at_the_weights_that_are_given(two, tmp_path, capsys):
    _, first, second = two
    assert run("stack", f"{first}=0.5", second, "--out", tmp_path / "s.safetensors") == 0
    wanted = {name: 0.5 * delta + deltas(second)[name] for name, delta in deltas(first).items()}
    close(deltas(tmp_path / "s.safetensors"), wanted)
    assert f"{len(wanted)} layers of rank 8" in capsys.readouterr().out


def test_stack_and_interpolate_can_be_shortened_and_say_the_error(two, tmp_path, capsys):
    _, first, second = two
    out = tmp_path / "s.safetensors"
    assert run("stack", first, second, "--out", out, "--rank", 4) == 0
    assert "layers of rank 4; off by" in capsys.readouterr().out
    assert run("interpolate", first, second, "--at", 1, "--out", out, "--rank", 4) == 0
    close(deltas(out), deltas(second))
    assert "off by 0.00%" in capsys.readouterr().out


def test_ties_wants_a_size_and_dare_repeats_itself_by_its_seed(two, tmp_path, caplog):
    _, first, second = two
    assert run("stack", first, second, "--method", "ties", "--out", tmp_path / "s.safetensors") == 1
    assert "give --rank N, --energy SHARE, or both" in caplog.text
    for number, seed in enumerate((0, 0, 1)):
        more = ("--method", "dare_ties", "--rank", 2, "--seed", seed, "--out", tmp_path / f"{number}.safetensors")
        assert run("stack", first, second, *more) == 0
    contents = [(tmp_path / f"{number}.safetensors").read_bytes() for number in range(3)]
    assert contents[0] == contents[1] != contents[2]


def test_resize_by_energy(two, tmp_path, capsys):
    _, first, _ = two
    assert run("resize", first, "--out", tmp_path / "r.safetensors", "--energy", 0.6) == 0
    assert max(layer.rank for layer in files.read(tmp_path / "r.safetensors").layers.values()) < 4
    assert "of its norm" in capsys.readouterr().out


def test_extract_finds_what_merge_folded_in(two, family_bases, tmp_path, capsys):
    family, first, _ = two
    base = family_bases[family]
    assert run("merge", first, "--base", base, "--out", tmp_path / "tuned") == 0
    found = tmp_path / "found.safetensors"
    assert run("extract", "--base", base, "--tuned", tmp_path / "tuned", "--rank", 4, "--out", found) == 0
    close(deltas(found), deltas(first))
    assert "off by 0.00% of the difference" in capsys.readouterr().out


def test_extract_from_the_base_itself_finds_nothing(family_bases, tmp_path, caplog):
    base = family_bases["tiny"]
    assert run("extract", "--base", base, "--tuned", base, "--rank", 4, "--out", tmp_path / "x.safetensors") == 1
    assert "no layer differs" in caplog.text


def test_convert_goes_there_and_back(two, tmp_path):
    _, first, _ = two
    kohya, back = tmp_path / "k.safetensors", tmp_path / "b.safetensors"
    assert run("convert", first, "--to", "kohya", "--family", "sd15", "--out", kohya) == 0
    assert all(key.startswith("lora_unet_") for key in files.contents(kohya)[0])
    assert run("convert", kohya, "--to", "diffusers", "--out", back) == 0
    close(deltas(back), deltas(first))


def test_convert_asks_for_the_family_that_a_file_does_not_tell(two, tmp_path, caplog):
    assert run("convert", two[1], "--to", "kohya", "--out", tmp_path / "k.safetensors") == 1
    assert "give --family sd15 or sdxl or sd35 or flux" in caplog.text


def test_convert_of_a_dora_asks_for_its_base(cases, family_bases, tmp_path, caplog):
    family, file, _ = cases("sd15 dora")
    convert = ("convert", file, "--to", "kohya", "--family", "sd15", "--out", tmp_path / "k.safetensors")
    assert run(*convert) == 1
    assert "give its folder" in caplog.text
    assert run(*convert, "--base", family_bases[family]) == 0


def test_merging_into_another_family_is_said(two, family_bases, tmp_path, caplog):
    assert run("merge", two[1], "--base", family_bases["flux"], "--out", tmp_path / "out") == 1
    assert "has no unet in safetensors" in caplog.text


@pytest.mark.parametrize("size", [("--rank", 0), ("--energy", 0), ("--energy", 1.5), ()])
def test_a_size_that_cannot_be_is_said(two, tmp_path, caplog, size):
    assert run("resize", two[1], "--out", tmp_path / "r.safetensors", *size) == 1
    assert "--rank" in caplog.text
    assert not (tmp_path / "r.safetensors").exists()


def test_a_file_named_with_an_equals_sign_is_a_file(tmp_path, caplog):
    assert run("stack", tmp_path / "a=b.safetensors", "--out", tmp_path / "s.safetensors") == 1
    assert "a=b.safetensors: there is no such file" in caplog.text


def test_inspect_says_what_is_in_the_file_in_eighty_columns(tiny_exported, capsys):
    assert run("inspect", tiny_exported / "adapter.safetensors") == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    for words in ("LoRA of linear layers and convolutions, as diffusers writes it", "strength    2",
                  "rank        2", "alpha       4", "unet.down_blocks.1", "pictures    7 CC0-1.0",
                  "licence     pictures: CC0-1.0, the strictest of 7; base: Apache-2.0", "credit      "):  # fmt: skip
        assert words in text, words
    assert (tiny_exported / "inspect.txt").read_text() == text


def test_inspect_for_programs_is_json_with_the_true_norms(tiny_exported, capsys):
    assert run("inspect", tiny_exported / "adapter.kohya.safetensors", "--json") == 0
    known = json.loads(capsys.readouterr().out)
    assert (known["format"], known["ranks"], known["alphas"], known["strengths"]) == ("kohya", [2], [4.0], [2.0])
    found = deltas(tiny_exported / "adapter.safetensors")
    for block in known["blocks"]:
        mine = [delta for name, delta in found.items() if f"{name}.".startswith(f"{block['block']}.")]
        assert len(mine) == block["layers"]
        assert block["norm"] == pytest.approx(np.sqrt(sum(float(delta.square().sum()) for delta in mine)), rel=1e-5)
    assert sum(block["layers"] for block in known["blocks"]) == known["layers"] == len(found)


@pytest.mark.parametrize(
    ("name", "width", "family"),
    [
        ("unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k", 768, "sd15"),
        ("unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k", 2048, "sdxl"),
        ("transformer.transformer_blocks.0.attn.to_q", 1536, "sd35"),
        ("transformer.transformer_blocks.0.attn.to_q", 3072, "flux"),
        ("transformer.single_transformer_blocks.0.attn.to_q", 5, "flux"),
        ("unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k", 5, "not known"),
    ],
)
def test_inspect_tells_the_family_by_the_layers(tmp_path, capsys, name, width, family):
    files.write(tmp_path / "a.safetensors", Lora({name: Layer(torch.ones(1, width), torch.ones(2, 1), 1.0)}))
    run("inspect", tmp_path / "a.safetensors")
    assert f"family      {family}\n" in capsys.readouterr().out


def said(title, *pictures):
    rights = about.inherited([{about.PICTURES: json.dumps(pictures), about.BASE_LICENCE: "Apache-2.0"}])
    return {"modelspec.title": title, "ss_steps": "5", "ss_network_dim": "4", "darkroom.base": "Tiny", **rights}


def test_what_is_made_of_several_names_all_their_pictures_and_what_they_ask_for(two, tmp_path):
    _, first, second = two
    one = said("one", ["CC0-1.0", "a, CC0-1.0"], ["CC-BY-SA-4.0", "b, CC-BY-SA-4.0"])
    files.relabel(first, tmp_path / "1.safetensors", one)
    files.relabel(second, tmp_path / "2.safetensors", said("two", ["CC0-1.0", "a, CC0-1.0"]))
    run("stack", tmp_path / "1.safetensors", tmp_path / "2.safetensors", "--out", tmp_path / "s.safetensors")
    found = files.read(tmp_path / "s.safetensors").metadata
    assert about.pictures(found) == [("CC-BY-SA-4.0", "b, CC-BY-SA-4.0"), ("CC0-1.0", "a, CC0-1.0")]
    assert "share adaptations under the same licence" in found["modelspec.license"]
    assert found["modelspec.merged_from"] == "one, two"
    assert found["darkroom.base"] == "Tiny"
    assert "ss_steps" not in found
    assert "ss_network_dim" not in found


def test_what_is_made_of_one_says_the_same_but_its_shape(two, tmp_path):
    files.relabel(two[1], tmp_path / "1.safetensors", said("one", ["CC0-1.0", "a, CC0-1.0"]))
    run("resize", tmp_path / "1.safetensors", "--rank", 1, "--out", tmp_path / "r.safetensors")
    found = files.read(tmp_path / "r.safetensors").metadata
    assert found["ss_steps"] == "5"
    assert found["modelspec.title"] == "one"
    assert "ss_network_dim" not in found
