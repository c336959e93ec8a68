"""Loading: the right halves, old and new layouts, and a sentence for every broken folder."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

from modserve.transport.checkpoint import INDEX, SINGLE, BadCheckpoint, read_json
from modserve.worker.loading import load
from modserve.worker.weights import one_name

from ..checkpoints import make_llama, make_llava_onevision, make_mllama, make_qwen2

ALL = frozenset({"encode", "prefill", "decode"})
ENCODE, TEXT = frozenset({"encode"}), frozenset({"prefill", "decode"})
MAKERS = [make_llava_onevision, make_mllama, make_llama, make_qwen2]
Make = Callable[..., Path]

LAYOUTS = {  # from the one name of `one_name` to the names in files
    "hub": (
        ("lm_head.", "language_model.lm_head."),
        ("language_model.", "language_model.model."),
        ("vision_tower.", "vision_tower.vision_model."),
    ),
    "4.5x": (
        ("lm_head.", "lm_head."),
        ("vision_tower.", "model.vision_tower.vision_model."),
        ("", "model."),
    ),
    "5.x modules": (("lm_head.", "lm_head."), ("", "model.")),
    "bare": (),
}


def rename(folder: Path, rules: tuple[tuple[str, str], ...]) -> None:
    """Write the weights again under the names of another layout."""

    def other(name: str) -> str:
        old, new = next((rule for rule in rules if name.startswith(rule[0])), ("", ""))
        return new + name.removeprefix(old)

    tensors = {other(one_name(key)): tensor for key, tensor in load_file(folder / SINGLE).items()}
    save_file(tensors, folder / SINGLE)


def shard(folder: Path) -> list[Path]:
    """Split the weights into three files and an index."""
    tensors = load_file(folder / SINGLE)
    (folder / SINGLE).unlink()
    names = [f"model-{n + 1:05}-of-00003.safetensors" for n in range(3)]
    weight_map = {key: names[place % 3] for place, key in enumerate(sorted(tensors))}
    for name in names:
        save_file({key: tensors[key] for key in tensors if weight_map[key] == name}, folder / name)
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return [folder / name for name in names]


def logits(folder: Path) -> torch.Tensor:
    loaded = load(folder, TEXT)
    assert loaded.text is not None
    assert loaded.lm_head is not None
    with torch.no_grad():
        output: torch.Tensor = loaded.lm_head(loaded.text(torch.arange(30)[None])[0])
    return output


def reference_logits(folder: Path) -> torch.Tensor:
    family = read_json(folder / "config.json")["model_type"]
    auto = AutoModelForCausalLM if family in ("llama", "qwen2") else AutoModelForImageTextToText
    with torch.no_grad():
        output: torch.Tensor = auto.from_pretrained(folder).eval()(torch.arange(30)[None]).logits
    return output


def parameters(module: Any) -> int:
    assert isinstance(module, nn.Module)
    assert not any(parameter.requires_grad for parameter in module.parameters())
    assert not any(part.training for part in module.modules())
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("make", MAKERS)
def test_the_text_half_computes_what_transformers_computes(tmp_path: Path, make: Make) -> None:
    folder = make(tmp_path)
    torch.testing.assert_close(logits(folder), reference_logits(folder), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("make", [make_llava_onevision, make_llama, make_qwen2])
def test_tied_embeddings_are_held_once(tmp_path: Path, make: Make) -> None:
    folder = make(tmp_path, tie_word_embeddings=True)
    loaded = load(folder, TEXT)
    assert loaded.lm_head is not None
    assert loaded.lm_head.weight is loaded.text.get_input_embeddings().weight  # type: ignore
    torch.testing.assert_close(logits(folder), reference_logits(folder), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("make", [make_llava_onevision, make_mllama])
def test_a_stage_holds_only_its_own_half(tmp_path: Path, make: Make) -> None:
    folder = make(tmp_path)
    whole = sum(tensor.numel() for tensor in load_file(folder / SINGLE).values())
    encode, text = load(folder, ENCODE), load(folder, TEXT)
    assert encode.text is None
    assert encode.lm_head is None
    assert text.vision is None
    assert parameters(encode.vision) + parameters(text.text) + parameters(text.lm_head) == whole


@pytest.mark.parametrize("rules", LAYOUTS.values(), ids=LAYOUTS.keys())
@pytest.mark.parametrize("make", [make_llava_onevision, make_mllama])
def test_every_layout_loads_to_the_same_weights(
    tmp_path: Path, make: Make, rules: tuple[tuple[str, str], ...]
) -> None:
    folder = make(tmp_path)
    new = load(folder, ALL)
    rename(folder, rules)
    old = load(folder, ALL)
    for ours, theirs in (
        (new.vision, old.vision),
        (new.text, old.text),
        (new.lm_head, old.lm_head),
    ):
        assert isinstance(ours, nn.Module)
        assert isinstance(theirs, nn.Module)
        weights = theirs.state_dict()
        assert all(torch.equal(value, weights[name]) for name, value in ours.state_dict().items())


def test_a_saved_head_wins_over_the_tie_as_in_transformers(tmp_path: Path) -> None:
    folder = make_qwen2(tmp_path)
    config = read_json(folder / "config.json") | {"tie_word_embeddings": True}
    (folder / "config.json").write_text(json.dumps(config))
    torch.testing.assert_close(logits(folder), reference_logits(folder), rtol=1e-5, atol=1e-5)


def test_sharded_weights_load_with_progress_up_to_their_bytes(tmp_path: Path) -> None:
    folder = make_llava_onevision(tmp_path)
    expected = logits(folder)
    shard(folder)
    seen: list[tuple[int, int]] = []
    loaded = load(folder, ALL, progress=lambda done, total: seen.append((done, total)))
    assert torch.equal(logits(folder), expected)
    total = 4 * (parameters(loaded.vision) + parameters(loaded.text) + parameters(loaded.lm_head))
    assert seen[0] == (0, total)
    assert seen[-1] == (total, total)
    assert seen == sorted(seen)


@pytest.mark.parametrize("make", MAKERS)
def test_a_text_only_monolith_has_no_vision_half(tmp_path: Path, make: Make) -> None:
    loaded = load(make(tmp_path), ALL)
    assert (loaded.vision is None) == (loaded.family in ("llama", "qwen2"))
    assert loaded.dtype is torch.float32


def test_a_named_dtype_is_taken_and_buffers_keep_theirs(tmp_path: Path) -> None:
    loaded = load(make_llava_onevision(tmp_path), ALL, dtype="bfloat16")
    assert loaded.text is not None
    assert {parameter.dtype for parameter in loaded.text.parameters()} == {torch.bfloat16}
    assert loaded.text.rotary_emb.inv_freq.dtype is torch.float32  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="got 'int8'"):
        load(tmp_path, ALL, dtype="int8")


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def write(name: str, text: str) -> Callable[[Path], None]:
    def write_it(folder: Path) -> None:
        (folder / name).write_text(text)

    return write_it


def truncate(name: str, share: float) -> Callable[[Path], None]:
    def truncate_it(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(len(content) * share)])

    return truncate_it


def change_config(**changes: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        config = read_json(folder / "config.json")
        config["text_config"] |= changes
        (folder / "config.json").write_text(json.dumps(config))

    return change


def drop_a_weight(folder: Path) -> None:
    tensors = load_file(folder / SINGLE)
    del tensors["language_model.model.norm.weight"]
    save_file(tensors, folder / SINGLE)


def lose_a_shard(folder: Path) -> None:
    shard(folder)[1].unlink()


def lie_in_the_index(folder: Path) -> None:
    """Two shards change places: the index names files that hold other weights."""
    first, second, _ = shard(folder)
    aside = first.rename(folder / "aside")
    second.rename(first)
    aside.rename(second)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (remove("config.json"), "expected a file at .*config.json, got none"),
        (write("config.json", "{"), "expected JSON in .*config.json"),
        (write("config.json", "[]"), "expected a JSON object .* got list"),
        (write("config.json", '{"model_type": "bert"}'), "known family .*got model_type 'bert'"),
        (remove(SINGLE), "expected weights in .*model.safetensors.* got none"),
        (truncate(SINGLE, 0.7), "expected a whole safetensors file"),
        (truncate(SINGLE, 0.0), "expected a whole safetensors file .*got 0 bytes"),
        (drop_a_weight, "language_model.norm.weight missing"),
        (lose_a_shard, "model-00002-of-00003.safetensors missing"),
        (lie_in_the_index, "expected .* in .*model-0000[12]-of-00003"),
        (change_config(hidden_size=96), "as config.json says"),
        (change_config(hidden_size="wide"), "expected a llava_onevision config.json"),
        (remove("preprocessor_config.json"), "expected a llava_onevision image processor"),
        (write("preprocessor_config.json", "{"), "expected a llava_onevision image processor"),
    ],
)
def test_a_broken_folder_is_refused_in_one_sentence(
    tmp_path: Path, damage: Callable[[Path], None], sentence: str
) -> None:
    folder = make_llava_onevision(tmp_path)
    damage(folder)
    with pytest.raises(BadCheckpoint, match=sentence) as refusal:
        load(folder, ALL)
    assert "\n" not in str(refusal.value)


def test_a_missing_folder_and_an_encoder_without_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match=r"expected a model folder at .*, got none"):
        load(tmp_path / "nowhere", ALL)
    with pytest.raises(BadCheckpoint, match=r"expected a model with images .* got llama"):
        load(make_llama(tmp_path), ENCODE)
