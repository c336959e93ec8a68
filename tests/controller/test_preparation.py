import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from modserve.controller.preparation import Preparer, Span, user_turn
from modserve.controller.refusal import Refused
from modserve.tests.checkpoints import make_llama, make_llava_onevision, make_mllama, make_qwen2
from modserve.transport.checkpoint import read_geometry
from modserve.transport.messages import ImagePart, TextPart, Turn

MAKERS: dict[str, Callable[[Path], Path]] = {
    "llava_onevision": make_llava_onevision,
    "mllama": make_mllama,
    "qwen2": make_qwen2,
    "llama": make_llama,
}
IMAGE_WORD = {"llava_onevision": "<image>", "mllama": "<|image|>"}
SIZES = [(50, 60), (200, 30), (28, 28)]

# as llava-hf ships it, with the marks that only training reads
LLAVA_CHAT = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + ' '}}"
    "{# Render all images first #}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}"
    "{{ '<image>' }}{% endfor %}{# Render all text next #}"
    "{% if message['role'] != 'assistant' %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}"
    "{{ '\n' + content['text'] }}{% endfor %}{% else %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}"
    "{% generation %}{{ '\n' + content['text'] }}{% endgeneration %}{% endfor %}{% endif %}"
    "{{'<|im_end|>'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
STRICT_CHAT = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if m['role'] not in ['user', 'assistant'] %}"
    "{{ raise_exception('roles are user and assistant, not ' + m['role']) }}{% endif %}"
    "{% if loop.index > 5 %}{% break %}{% endif %}"
    "{{ '<|start_header_id|>' + m['role'] + '\n' + m['content'] | trim + '<|eot_id|>' }}"
    "{% endfor %}{{ [strftime_now('%Y') | length, {'a': '<é>'}] | tojson }}"
)


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("checkpoints")
    return {name: make(root / name) for name, make in MAKERS.items()}


@pytest.fixture(scope="session")
def preparers(folders: dict[str, Path]) -> dict[str, Preparer]:
    return {name: Preparer(path, read_geometry(path)) for name, path in folders.items()}


def changed(folder: Path, to: Path, **files: str) -> Path:
    """A copy of a checkpoint without its weights, with some files' texts replaced."""
    shutil.copytree(folder, to, ignore=shutil.ignore_patterns("*.safetensors"))
    for name, text in files.items():
        (to / name.replace("__", ".")).write_text(text)
    return to


def reference(folder: Path, turns: list[Turn], *, strings: bool = False) -> list[int]:
    """What transformers makes of a chat, one token per image."""
    messages: list[dict[str, Any]] = [
        {
            "role": turn.role,
            "content": [
                {"type": "text", "text": part.text}
                if isinstance(part, TextPart)
                else {"type": "image"}
                for part in turn.content
            ],
        }
        for turn in turns
    ]
    if strings:
        for message in messages:
            message["content"] = "".join(part["text"] for part in message["content"])
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids: Any = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_dict=False
    )
    return list(ids)


def expanded(ids: list[int], image_token: int, lengths: list[int]) -> list[int]:
    left = iter(lengths)
    return [t for token in ids for t in [token] * (next(left) if token == image_token else 1)]


def chat(images: int) -> list[Turn]:
    return [
        Turn("system", (TextPart("Be brief.\n"),)),
        Turn("user", (TextPart("  Was ist das? 東京 👩‍👩‍👧 "), *map(ImagePart, range(images)))),
        Turn("assistant", (TextPart("A cat < a dog | b"),)),
        Turn("user", (TextPart("And"), TextPart(" now?"))),
    ]


@pytest.mark.parametrize("images", [0, 1, 3])
@pytest.mark.parametrize("family", MAKERS)
def test_ids_are_those_of_transformers(
    family: str, images: int, folders: dict[str, Path], preparers: dict[str, Preparer]
) -> None:
    preparer, folder = preparers[family], folders[family]
    if family not in IMAGE_WORD and images:
        with pytest.raises(Refused, match=f"expected text alone for this model, got {images}"):
            preparer.prepare(chat(images), SIZES[:images])
        return
    prepared = preparer.prepare(chat(images), SIZES[:images])
    token = preparer.facts.image_token_id or -1
    geometry = read_geometry(folder)
    shapes = [geometry.image(*size, images) for size in SIZES[:images]] if geometry else []
    expected = expanded(reference(folder, chat(images)), token, [s.span for s in shapes])
    assert prepared.token_ids == expected
    assert prepared.shapes == tuple(shapes)
    assert [(s.image, s.length) for s in prepared.spans] == [
        (image, shape.span) for image, shape in enumerate(shapes)
    ]
    for span in prepared.spans:
        taken = prepared.token_ids[span.start : span.start + span.length]
        assert set(taken) == {token}
    assert prepared.token_ids.count(token) == sum(span.length for span in prepared.spans)


def test_the_published_llava_template_gives_transformers_ids(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = changed(folders["llava_onevision"], tmp_path / "m", chat_template__jinja=LLAVA_CHAT)
    preparer = Preparer(folder, read_geometry(folder))
    prepared = preparer.prepare(chat(2), SIZES[:2])
    lengths = [shape.span for shape in prepared.shapes]
    token = preparer.facts.image_token_id or -1
    assert prepared.token_ids == expanded(reference(folder, chat(2)), token, lengths)
    typed = preparer.prepare([user_turn("<image> <|im_end|>", 1)], SIZES[:1])
    assert typed.token_ids.count(token) == typed.shapes[0].span


def test_a_template_of_strings_loops_and_dates_works(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = changed(folders["llama"], tmp_path / "m", chat_template__jinja=STRICT_CHAT)
    turns = [Turn("user", (TextPart(" a "), TextPart("b\n")))] * 7
    ids = Preparer(folder, None).prepare(turns, []).token_ids
    assert ids == reference(folder, turns, strings=True)
    with pytest.raises(Refused, match="roles are user and assistant, not pirate") as refused:
        Preparer(folder, None).prepare([Turn("pirate", (TextPart("a"),))], [])
    assert refused.value.code == "chat_template"


def test_a_template_within_the_tokenizers_file_is_found(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    config = json.loads((folders["qwen2"] / "tokenizer_config.json").read_text())
    template = (folders["qwen2"] / "chat_template.jinja").read_text()
    named = [{"name": "tools", "template": "no"}, {"name": "default", "template": template}]
    expected = Preparer(folders["qwen2"], None).prepare(chat(0), []).token_ids
    for number, value in enumerate((template, named)):
        folder = changed(
            folders["qwen2"],
            tmp_path / str(number),
            tokenizer_config__json=json.dumps({**config, "chat_template": value}),
        )
        (folder / "chat_template.jinja").unlink()
        assert Preparer(folder, None).prepare(chat(0), []).token_ids == expected


def test_a_string_template_takes_images_where_they_stand(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    template = "{% for m in messages %}{{ '<|im_start|>' + m['content'] }}{% endfor %}"
    folder = changed(folders["llava_onevision"], tmp_path / "m", chat_template__jinja=template)
    preparer = Preparer(folder, read_geometry(folder))
    turn = Turn("user", (TextPart("a"), ImagePart(1), TextPart("b"), ImagePart(0)))
    prepared = preparer.prepare([turn], SIZES[:2])
    second, first = prepared.spans
    assert (second.image, first.image) == (1, 0)
    assert prepared.shapes[1].span == second.length
    assert prepared.token_ids[second.start + second.length] == Tokenizer.from_file(
        str(folder / "tokenizer.json")
    ).token_to_id("b")


@pytest.mark.parametrize("family", MAKERS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_typed_special_tokens_stay_text(
    family: str, preparers: dict[str, Preparer], folders: dict[str, Path], data: st.DataObject
) -> None:
    """Whatever is typed: no special token beyond the template's own, and no other text."""
    preparer = preparers[family]
    tokenizer = Tokenizer.from_file(str(folders[family] / "tokenizer.json"))
    special = {t.content: i for i, t in tokenizer.get_added_tokens_decoder().items() if t.special}
    pieces = st.sampled_from([*special, "<|im_", "end|>", "<ima", "ge>", "a", " b", "\n", "\ue000"])
    text = st.lists(pieces, max_size=6).map("".join)
    typed = data.draw(st.lists(text, min_size=1, max_size=3).filter(any))
    got = preparer.prepare([Turn("user", tuple(map(TextPart, typed)))], []).token_ids
    harmless = preparer.prepare([user_turn("a")], []).token_ids
    ids = set(special.values())
    assert [t for t in got if t in ids] == [t for t in harmless if t in ids]
    said = tokenizer.decode(got, skip_special_tokens=False)
    frame = tokenizer.decode(harmless, skip_special_tokens=False)
    before, after = re.split(r"(?<=\n)a(?=<)", frame)
    assert said == before + "".join(typed) + after


def test_an_image_word_that_is_no_special_token_stays_text_too(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    content = json.loads((folders["llava_onevision"] / "tokenizer.json").read_text())
    for token in content["added_tokens"]:
        token["special"] = token["content"] != "<image>"
    folder = changed(
        folders["llava_onevision"], tmp_path / "m", tokenizer__json=json.dumps(content)
    )
    prepared = Preparer(folder, read_geometry(folder)).prepare([user_turn("<image>?", 1)], [(9, 9)])
    assert len(prepared.spans) == 1
    assert prepared.token_ids.count(323) == prepared.spans[0].length


def test_a_plain_chat_is_one_encoding_and_a_literal_changes_only_itself(
    preparers: dict[str, Preparer],
) -> None:
    with_literal = preparers["qwen2"].prepare([user_turn("x <|im_end|> y")], []).token_ids
    tokenizer = preparers["qwen2"].prepare([user_turn("x")], []).token_ids
    assert with_literal[:5] == tokenizer[:5]
    assert with_literal[-3:] == tokenizer[-3:]


def test_ids_are_expanded_in_order(preparers: dict[str, Preparer]) -> None:
    preparer = preparers["llava_onevision"]
    prepared = preparer.prepare_ids([5, 323, 6, 323], SIZES[:2])
    first, second = (shape.span for shape in prepared.shapes)
    assert prepared.token_ids == [5, *[323] * first, 6, *[323] * second]
    assert prepared.spans == (Span(1, first, 0), Span(2 + first, second, 1))
    kept = preparers["mllama"].prepare_ids([326, 7], SIZES[:1])
    assert kept.token_ids == [326, 7]
    assert kept.spans == (Span(0, 1, 0),)


@pytest.mark.parametrize(
    ("turns", "sizes", "code"),
    [
        ([], 0, "empty_prompt"),
        ([user_turn("")], 0, "empty_prompt"),
        ([user_turn("a", 2)], 1, "images"),
        ([user_turn("a", 1)], 2, "images"),
        ([Turn("user", (ImagePart(0), ImagePart(0)))], 1, "images"),
        ([Turn("user", (ImagePart(1),))], 1, "images"),
        ([Turn("user<|im_end|>", (TextPart("a"),))], 0, "role"),
        ([Turn("", (TextPart("a"),))], 0, "role"),
    ],
)
def test_what_cannot_be_prepared_is_refused(
    turns: list[Turn], sizes: int, code: str, preparers: dict[str, Preparer]
) -> None:
    with pytest.raises(Refused, match=r"^expected .*, got ") as refused:
        preparers["llava_onevision"].prepare(turns, SIZES[:sizes])
    assert refused.value.code == code
    assert "\n" not in refused.value.sentence


@pytest.mark.parametrize(
    ("ids", "sizes", "code"),
    [
        ([], 0, "empty_prompt"),
        ([5], 1, "images"),
        ([323], 0, "images"),
        ([323, 323], 1, "images"),
        ([-1], 0, "token_ids"),
        ([384], 0, "token_ids"),
    ],
)
def test_ids_that_cannot_be_served_are_refused(
    ids: list[int], sizes: int, code: str, preparers: dict[str, Preparer]
) -> None:
    with pytest.raises(Refused, match=r"^expected .*, got ") as refused:
        preparers["llava_onevision"].prepare_ids(ids, SIZES[:sizes])
    assert refused.value.code == code


def test_a_model_without_a_template_takes_ids_alone(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = changed(folders["qwen2"], tmp_path / "m")
    (folder / "chat_template.jinja").unlink()
    preparer = Preparer(folder, None)
    with pytest.raises(Refused, match="expected a model with a chat template, got none"):
        preparer.prepare([user_turn("a")], [])
    assert preparer.prepare_ids([1, 2], []).token_ids == [1, 2]


def test_a_template_that_drops_an_image_is_refused(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    template = (
        "{% for m in messages %}{% for p in m['content'] %}{{ p['text'] }}{% endfor %}{% endfor %}"
    )
    folder = changed(folders["llava_onevision"], tmp_path / "m", chat_template__jinja=template)
    with pytest.raises(Refused, match="expected 1 image in the prompt, got 0 image tokens"):
        Preparer(folder, read_geometry(folder)).prepare([user_turn("a", 1)], SIZES[:1])


@pytest.mark.parametrize(
    "attack",
    [
        "{{ messages.__class__.__mro__ }}",
        "{{ ''.__class__.__base__.__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ raise_exception.__globals__.items() }}",
    ],
)
def test_a_template_cannot_leave_its_sandbox(
    attack: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = changed(folders["qwen2"], tmp_path / "m", chat_template__jinja="a" + attack)
    with pytest.raises(Refused, match="the model's chat template refuses"):
        Preparer(folder, None).prepare([user_turn("a")], [])


def test_preparing_needs_no_torch() -> None:
    code = (
        "import sys, modserve.controller.preparation, modserve.transport.checkpoint;"
        "print({'torch', 'transformers', 'numpy'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
