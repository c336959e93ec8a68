import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from transformers import LlamaConfig, LlavaOnevisionConfig, MllamaConfig, Qwen2Config

from modserve.scheduler.model import facts_of
from modserve.tests.checkpoints import make_llama, make_llava_onevision, make_mllama
from modserve.transport.checkpoint import (
    BadCheckpoint,
    fingerprint,
    read_facts,
    read_geometry,
    weight_files,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_llava_onevision(tmp_path_factory.mktemp("whole") / "model")


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy of a whole checkpoint, to be spoilt."""
    return Path(shutil.copytree(whole, tmp_path / "model"))


def edited(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.mark.parametrize(
    "config", [LlamaConfig(), Qwen2Config(), MllamaConfig(), LlavaOnevisionConfig()], ids=repr
)
def test_what_a_config_leaves_out_is_what_transformers_takes(config: Any) -> None:
    text = config.get_text_config()
    family = config.model_type
    parts = {"text_config": {"model_type": text.model_type}}
    facts = facts_of({"model_type": family, **(parts if text is not config else {})}, {})
    cross = getattr(text, "cross_attention_layers", None) or []
    assert (facts.vocabulary, facts.hidden) == (text.vocab_size, text.hidden_size)
    assert facts.layers + facts.cross_layers == text.num_hidden_layers
    assert facts.cross_layers == len(cross)
    assert facts.kv_heads == (text.num_key_value_heads or text.num_attention_heads)
    assert facts.head_dim == text.hidden_size // text.num_attention_heads
    assert facts.context == text.max_position_embeddings
    assert facts.image_token_id == getattr(config, "image_token_id", None)


def test_facts_are_those_of_the_files(tmp_path: Path, folder: Path) -> None:
    facts = read_facts(make_mllama(tmp_path / "mllama"))
    assert (facts.layers, facts.cross_layers, facts.vocabulary) == (2, 2, 326)
    assert facts.image_token_id == 326
    assert facts.kv_bytes_per_token(4) == 2 * 2 * 2 * 16 * 4
    assert facts.cross_bytes_per_row(4) == 2 * 2 * 2 * 16 * 4
    assert facts.embedding_bytes_per_row(2) == 128
    text = read_facts(make_llama(tmp_path / "llama", num_key_value_heads=4))
    assert (text.kv_heads, text.image_token_id, text.cross_bytes_per_row(4)) == (4, None, 0)
    edited(folder / "generation_config.json", eos_token_id=[7, 8])
    assert read_facts(folder).eos_ids == {7, 8}
    (folder / "generation_config.json").unlink()
    assert read_facts(folder).eos_ids == {322}


def test_an_image_processor_may_be_part_of_the_processors_file(folder: Path) -> None:
    expected = read_geometry(folder)
    part = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(BadCheckpoint, match="expected an image processor's configuration"):
        read_geometry(folder)
    edited(folder / "processor_config.json", image_processor=part)
    assert read_geometry(folder) == expected


def test_a_fingerprint_tells_models_apart(whole: Path, folder: Path) -> None:
    own = fingerprint(whole, "float32", 16)
    assert fingerprint(folder, "float32", 16) == own
    assert fingerprint(folder, "bfloat16", 16) != own
    assert fingerprint(folder, "float32", 32) != own
    edited(folder / "preprocessor_config.json", image_mean=[0.4, 0.4, 0.4])
    assert fingerprint(folder, "float32", 16) != own


def test_other_weights_of_the_same_shapes_differ(whole: Path, tmp_path: Path) -> None:
    other = make_llava_onevision(tmp_path / "other", seed=1)
    sizes = [[path.stat().st_size for path in weight_files(folder)] for folder in (whole, other)]
    assert sizes[0] == sizes[1]
    assert fingerprint(other, "float32", 16) != fingerprint(whole, "float32", 16)


def sharded(folder: Path, names: list[str]) -> None:
    weight_map = dict(zip("abc", names, strict=False))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


def test_shards_are_found_and_missed(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "one.safetensors")
    sharded(folder, ["one.safetensors", "one.safetensors"])
    assert [path.name for path in weight_files(folder)] == ["one.safetensors"]
    fingerprint(folder, "float32", 16)
    sharded(folder, ["one.safetensors", "two.safetensors"])
    with pytest.raises(BadCheckpoint, match=r"got 1: two\.safetensors missing"):
        fingerprint(folder, "float32", 16)


def spoil(folder: Path, how: str) -> None:
    config, weights = folder / "config.json", folder / "model.safetensors"
    match how:
        case "no folder":
            shutil.rmtree(folder)
        case "no config":
            config.unlink()
        case "half a config":
            config.write_text(config.read_text()[:50])
        case "no object":
            config.write_text("[]")
        case "unknown":
            edited(config, model_type="gpt2")
        case "unknown text":
            edited(config, text_config={"model_type": "gpt2"})
        case "no number":
            edited(config, text_config={"model_type": "qwen2", "hidden_size": "big"})
        case "no weights":
            weights.rename(folder / "pytorch_model.bin")
        case "half the weights":
            weights.write_bytes(weights.read_bytes()[:-100])
        case "a header cut off":
            weights.write_bytes(weights.read_bytes()[:100])
        case "no header":
            weights.write_bytes(b"\2" + bytes(7) + b"{]" + bytes(50))
        case "empty weights":
            weights.write_bytes(b"")


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("no folder", "expected a model folder at .*, got none"),
        ("no config", r"expected a file at .*config\.json, got none"),
        ("half a config", r"expected JSON in .*config\.json, got "),
        ("no object", r"expected a JSON object in .*config\.json, got list"),
        ("unknown", "expected a model of a known family .*, got 'gpt2'"),
        ("unknown text", "expected a text model of a known family .*, got 'gpt2'"),
        ("no number", "expected a positive whole number for hidden_size, got 'big'"),
        ("no weights", r"expected weights in model\.safetensors .*, got pytorch_model\.bin"),
        ("half the weights", r"expected \d+ bytes in .*, got \d+: half written\?"),
        ("a header cut off", "expected a safetensors file at .*, got 100 other bytes"),
        ("no header", "expected a safetensors header in .*, got "),
        ("empty weights", "expected a safetensors file at .*, got 0 other bytes"),
    ],
)
def test_a_spoilt_folder_is_told_in_one_sentence(folder: Path, how: str, sentence: str) -> None:
    spoil(folder, how)
    with pytest.raises(BadCheckpoint, match=f"^{sentence}") as bad:
        _ = read_facts(folder), fingerprint(folder, "float32", 16)
    assert "\n" not in str(bad.value)
