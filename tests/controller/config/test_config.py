"""A modserve.toml is read as a whole, and what is wrong with it is one sentence that says where."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import modserve
from modserve.controller.config.config import Config, checked, read
from modserve.controller.config.reading import BadConfig
from modserve.controller.config.serving import options_of
from modserve.controller.config.tables import ScalingTable, StageTable
from modserve.controller.launching.options import LaunchOptions, Resources
from modserve.controller.options import ControllerOptions, Limits, Parts
from modserve.scheduler.slo.classes import BATCH, CLASSES, INTERACTIVE, STANDARD, SloClass

EXAMPLE = Path(modserve.__file__).parent / "examples" / "modserve.toml"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "modserve.toml"


def told(file: Path, text: str) -> Config:
    file.write_text(text, encoding="utf-8")
    return read(file)


def test_an_empty_file_means_the_defaults(file: Path) -> None:
    assert told(file, "") == Config()
    assert options_of(Config(), Path("/m")) == ControllerOptions(Path("/m"))


def test_the_example_means_what_its_comments_say() -> None:
    config = read(EXAMPLE)
    assert config.controller.model == "tiny"
    assert list(config.slo) == ["interactive", "standard", "batch", "nightly"]
    assert config.slo["interactive"] == SloClass("interactive", 0.4, 0.05, 0.0015, 0, "standard")
    assert config.slo["nightly"] == SloClass("nightly", 600.0, 2.0, priority=9)
    assert config.slo["standard"] is STANDARD
    assert config.stages["encode"] == StageTable(min=1, max=4, start=2)
    assert config.stages["text"].first == 1
    assert (config.scaling.policy, config.scaling.launcher) == ("off", "manual")


def test_what_it_says_reaches_the_controller(file: Path) -> None:
    config = told(
        file,
        """
        [controller]
        bind = "tcp://127.0.0.1:0"
        keys = "/keys"
        journal = false
        prefix_cache_mb = 3
        [slo.batch]
        tpot_ms = 5
        [stages.all]
        max = 2
        [scaling]
        launcher = "ray"
        [launching]
        gpus = [2, 3]
        threads = 1
        data_host = "10.0.0.1"
        ray_address = "10.0.0.2:6379"
        ray_resources = { text = "4cpu+0.5gpu" }
        [admission]
        policy = "predicted"
        max_requests = 7
        max_tokens = 8
        max_image_mb = 9
        [policies]
        bind = "all"
        routing = "pending"
        """,
    )
    assert options_of(config, Path("/m"), json=True) == ControllerOptions(
        Path("/m"),
        "tcp://127.0.0.1:0",
        keys=Path("/keys"),
        json=True,
        bind="all",
        admission="predicted",
        routing="pending",
        limits=Limits(max_open=7, max_waiting_tokens=8, max_held_bytes=9 * 2**20),
        journal=False,
        slo={**CLASSES, "batch": SloClass("batch", 60.0, 0.005, BATCH.image_token_s, 2)},
        stages={"all": StageTable(max=2)},
        scaling=ScalingTable(launcher="ray"),
        launching=LaunchOptions(
            "ray",
            gpus=(2, 3),
            threads=1,
            data_host="10.0.0.1",
            ray_address="10.0.0.2:6379",
            resources={"text": Resources(4.0, 0.5)},
        ),
        parts=Parts(prefix_bytes=3 * 2**20),
    )


def test_a_class_that_goes_to_another_by_default_can_be_told_to_go_to_none(file: Path) -> None:
    config = told(file, '[slo.standard]\ndegrade_to = "none"')
    assert (CLASSES["standard"].degrade_to, config.slo["standard"].degrade_to) == ("batch", None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[sol.batch]", "expected a table of controller, admission, slo, .*, policies, got sol"),
        ("[controler]", "got controler; did you mean controller?"),
        ("controller = 7", "controller: expected a table, got 7"),
        ("slo = []", r"slo: expected a table, got \[\]"),
        ("[slo]\nbatch = 3", "slo.batch: expected a table, got 3"),
        ("[controller]\nbnid = 'x'", "controller: expected a key of .*, got bnid; .* bind?"),
        ("[controller]\nbind = 'here'", "controller.bind: expected an address like .*, got here"),
        ("[controller]\nbind = 'tcp://127.0.0.1:65536'", "controller.bind: expected an address"),
        ("[slo.none]\nttft_ms = 1", "slo: expected a name .* got none"),
        ("[controller]\nbind = 7700", "controller.bind: expected a text, got 7700"),
        ("[controller]\njournal = 'no'", "controller.journal: expected true or false, got 'no'"),
        ("[controller]\njournal = false\nstrict_journal = true", "strict_journal: .* got none"),
        ("[controller]\nimage_cache_mb = -1", "expected a whole number from 0 up, got -1"),
        ("[slo.batch]\ntttf_ms = 1", "slo.batch: expected a key of .* did you mean ttft_ms?"),
        ("[slo.batch]\nttft_ms = 0", "slo.batch.ttft_ms: expected a number above 0, got 0"),
        ("[slo.batch]\ntpot_ms = -2.5", "slo.batch.tpot_ms: expected a number above 0, got -2.5"),
        ("[slo.batch]\ntpot_ms = nan", "slo.batch.tpot_ms: expected a finite number, got nan"),
        ("[slo.batch]\nimage_token_ms = -1", "expected a number from 0 up, got -1"),
        ("[slo.mine]\nttft_ms = 1", "slo.mine: expected tpot_ms for a class of your own, got none"),
        ("[slo.'so long a name for it']", "slo: expected a name of 1 to 16 .* got 'so long"),
        ("[slo.batch]\ndegrade_to = 'batsh'", "slo.batch.degrade_to: .* did you mean batch?"),
        (
            "[slo.batch]\ndegrade_to = 'standard'",
            "expected a way that ends, got standard -> batch -> standard",
        ),
        ("[stages.encode]\nmax = 0", "stages.encode.max: expected a whole number from 1 up, got 0"),
        ("[stages.encode]\nmin = -1", "stages.encode.min: .* from 1 up, got -1"),
        ("[stages.encode]\nmin = 1.5", "stages.encode.min: expected a whole number, got 1.5"),
        (
            "[stages.encode]\nmin = 3\nmax = 2",
            "stages.encode: expected min of at most max, got 3 and 2",
        ),
        ("[stages.text]\nmin = 2\nstart = 1", "stages.text.start: expected .* from 2, got 1"),
        ("[stages.text]\nmax = 2\nstart = 3", "start: expected a number from 1 to 2, got 3"),
        ("[stages.encod]", "stages: expected a role of .*, got encod; did you mean encode?"),
        (
            "[scaling]\npolicy = 'papper'",
            "scaling.policy: expected one of off, paper, modserve, got papper; did you mean paper?",
        ),
        ("[scaling]\nlauncher = 'slurm'", "expected one of manual, local, ray, got slurm$"),
        ("[scaling]\ngpus = 0", "scaling.gpus: expected a whole number from 1 up, got 0"),
        ("[scaling]\ndown_s = 0", "scaling.down_s: expected a number above 0, got 0"),
        ("[scaling]\ndwon_s = 3", "scaling: expected a key of .* did you mean down_s?"),
        ("[scaling]\nmeans = 'launch'", "scaling.means: expected a list, got 'launch'"),
        (
            "[scaling]\nmeans = ['swich']",
            "some of launch, switch, got swich; .* switch",
        ),
        ("[scaling]\nmeans = []", "scaling.means: expected some of launch, switch, got none"),
        ("[launching]\nray_resources = [1]", r"ray_resources: expected a table, got \[1\]"),
        (f"[slo.batch]\npriority = {10**30}", "priority: expected a whole number up to 2147483647"),
        (f"[controller]\nimage_cache_mb = {2**60}", "expected a whole number up to 2147483647"),
        ("[launching]\ngpu = [0]", "launching: expected a key of .* did you mean gpus?"),
        ("[launching]\ngpus = ['a']", r"launching.gpus: expected a whole number, got \['a'\]"),
        ("[launching]\ngpus = [-1]", r"gpus: expected a whole number from 0 up, got \[-1\]"),
        ("[launching]\ngpus = [1, 1]", r"gpus: expected different numbers, got \[1, 1\]"),
        ("[launching]\nthreads = -1", "threads: expected a whole number from 0 up, got -1"),
        (
            "[launching.ray_resources]\ntext = 'much'",
            "launching.ray_resources: expected a role of .* like text=4cpu.1gpu, got text=much",
        ),
        ("[launching]\nray_resources = {paint = '1cpu'}", "expected a role of .* got paint=1cpu"),
        ("[scaling]\nperiod_s = 0", "scaling.period_s: expected a number above 0, got 0"),
        (
            "[policies]\nbind = 'frist'",
            "policies.bind: .* all, got frist; .* first",
        ),
        (
            "[policies]\nrouting = 'dice'",
            "policies.routing: expected one of finish, pending, round-robin, got dice",
        ),
        ("[admission]\npolicy = 'predict'", "one of limits, predicted, got predict; .* predicted?"),
        ("[admission]\nmax_tokens = 0", "max_tokens: expected a whole number from 1 up, got 0"),
        (f"[scaling]\ngpus = {'9' * 5000}", "expected TOML, got an error: Exceeds the limit"),
        ("[policies", "expected TOML, got an error: .*end of document"),
        ("[policies]\n[policies]", "expected TOML, got an error: .*line 2"),
    ],
)
def test_what_is_wrong_is_one_sentence_with_its_place(text: str, expected: str, file: Path) -> None:
    with pytest.raises(BadConfig, match=expected) as caught:
        told(file, text)
    assert str(caught.value).startswith(f"{file}: ")
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_one_sentence(file: Path) -> None:
    with pytest.raises(BadConfig, match=r"cannot read .*modserve.toml: No such file"):
        read(file)
    file.write_bytes(b"\xff")
    with pytest.raises(BadConfig, match="expected UTF-8"):
        read(file)


def test_classes_are_changed_by_the_key(file: Path) -> None:
    config = told(file, "[slo.interactive]\nttft_ms = 100\n[slo.standard]\npriority = 5")
    assert config.slo["interactive"].ttft_s == 0.1
    assert config.slo["interactive"].tpot_s == INTERACTIVE.tpot_s
    assert config.slo["standard"].priority == 5


KEYS = st.sampled_from(
    ["controller", "slo", "stages", "scaling", "batch", "encode", "min", "ttft_ms", "policy", "\n"]
)
VALUES = st.one_of(
    st.integers(), st.floats(), st.text(max_size=5), st.booleans(), st.lists(st.integers())
)


@given(st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES | st.dictionaries(KEYS, VALUES))))
def test_any_tables_are_a_config_or_one_sentence(tables: dict[str, object]) -> None:
    try:
        sentence = "" if checked(tables) else "none"
    except BadConfig as error:
        sentence = str(error)
    assert sentence.isprintable()
