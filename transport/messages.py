"""Every word that crosses a process border: frozen structs, tagged with their class name.

Tensors never travel here, only their handles; pixels travel as frames of their own behind the
message that announces them. `codec.py` beside this file is the only code that meets bytes.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

PROTOCOL = 12


class Message(Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """One frame of control; the tag on the wire is the class name."""


class Part(Struct, frozen=True, forbid_unknown_fields=True):
    """One tensor behind a handle: `rank` is the owner's rank that holds it."""

    shape: tuple[int, ...]
    dtype: str  # torch's name without the prefix: "float32", "bfloat16", "int64", "uint8" ...
    bytes: int
    rank: int = 0


class TensorHandle(Struct, frozen=True, forbid_unknown_fields=True):
    """Names tensors that `owner` keeps until every consumer let go; a process, not a name, owns."""

    owner: str
    epoch: int  # the owning process; a restarted worker under the same name has another
    id: int
    parts: tuple[Part, ...]


class Sampling(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How tokens are chosen and when to stop; the defaults are greedy."""

    max_tokens: int = 256
    temperature: float = 0.0
    top_k: int = 0  # 0: off
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None  # the controller draws one at admission where none was given
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    ignore_eos: bool = False
    json_schema: str | None = None  # what the answer is to follow; None: nothing
    logprobs: int | None = None  # None: none; n: the chosen token's and the n most likely ones'


class TokenLogprobs(Struct, frozen=True, forbid_unknown_fields=True):
    """Natural-log probabilities at one position, of the model's own distribution."""

    chosen: float
    top: tuple[tuple[int, float], ...] = ()  # (token id, log probability), most likely first


# What a client and the controller say to each other. Image files follow a Submit as frames.


class TextPart(Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    text: str


class ImagePart(Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    index: int  # of the image frame behind the message


class Turn(Struct, frozen=True, forbid_unknown_fields=True):
    """One message of a chat."""

    role: str
    content: tuple[TextPart | ImagePart, ...]


class Greet(Message, frozen=True):
    """A client's first word."""

    protocol: int


class Submit(Message, frozen=True, omit_defaults=True):
    """Either a chat (`turns`) or `token_ids`; a repeated Submit of one id is harmless.

    Repeated to a controller that does not know the request, it goes on behind `emitted`: the
    tokens that the client has had, without the last, whose repetition tells whether it ended there.
    `had` counts all of them.
    """

    request_id: str
    sampling: Sampling
    turns: tuple[Turn, ...] = ()
    token_ids: tuple[int, ...] = ()
    timeout_s: float | None = None  # None: the controller's own limit
    emitted: tuple[int, ...] = ()
    had: int = 0
    slo: str = "standard"  # a class that the controller has
    ttft_ms: float | None = None  # in place of the class's, images reckoned in
    tpot_ms: float | None = None


class Cancel(Message, frozen=True):
    request_id: str


class AskStatus(Message, frozen=True):
    ask: int  # counted by the client; the answer repeats it


class Remove(Message, frozen=True):
    """Drain a worker (or, `now`, stop it at once); needs the controller's token."""

    ask: int
    token: str
    name: str
    now: bool = False


class SetStages(Message, frozen=True):
    """Drain a worker and have it serve other stages; needs the controller's token."""

    ask: int
    token: str
    name: str
    stages: tuple[str, ...]


class Shutdown(Message, frozen=True):
    """Stop the controller and its workers, after the open requests if `drain`; needs the token.

    `keep`: end nothing, stop nobody; the controller that follows at this address goes on.
    """

    ask: int
    token: str
    drain: bool = False
    keep: bool = False


class Scale(Message, frozen=True):
    """Have so many workers of each of these roles; needs the controller's token."""

    ask: int
    token: str
    workers: dict[str, int]


class AskEvents(Message, frozen=True, omit_defaults=True):
    """What has happened since: events behind a number, and not before a time."""

    ask: int
    after: int = 0
    since: float = 0.0  # seconds of Unix time


class AskTrace(Message, frozen=True):
    """The story of a request that is open, or that ended lately; "": of the last that ended."""

    ask: int
    request_id: str


class AskTokens(Message, frozen=True, omit_defaults=True):
    """The token ids of a text as it is, or of a chat of texts in the model's template."""

    ask: int
    text: str | None = None
    turns: tuple[Turn, ...] = ()


class AskPieces(Message, frozen=True):
    """How these tokens are spelled."""

    ask: int
    token_ids: tuple[int, ...]


class Pong(Message, frozen=True):
    """The answer to a Ping, from a client or a worker."""


FromClient = (
    Greet
    | Submit
    | Cancel
    | AskStatus
    | AskEvents
    | AskTrace
    | AskTokens
    | AskPieces
    | Remove
    | SetStages
    | Scale
    | Shutdown
    | Pong
)


class Greeting(Message, frozen=True):
    model: str
    fingerprint: str
    context: int  # tokens that prompt and answer may take together
    max_images: int
    max_image_bytes: int
    vocabulary: int  # token ids are below it


class Delta(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """New tokens of one request; `start` counts from the first emitted token over all runs."""

    request_id: str
    start: int
    token_ids: tuple[int, ...]
    text: str = ""
    logprobs: tuple[TokenLogprobs, ...] = ()


class Deltas(Message, frozen=True):
    """All the news of one worker step for one client: the controller forwards it unread."""

    items: tuple[Delta, ...]


class Usage(Struct, frozen=True, forbid_unknown_fields=True):
    prompt_tokens: int  # images expanded
    image_tokens: int  # of them (rows, where images take no prompt positions)
    completion_tokens: int


class Timing(Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds; differences of marks in the request's story (docs/metrics.md has the formulas)."""

    ttft_s: float | None  # from the controller's receipt to the first token's report
    total_s: float
    prepare_s: float  # template, tokens, image headers
    encode_s: float  # first image begun to last image ready, waiting in the worker included
    queue_s: float  # waiting for a text replica
    prefill_s: float  # bound until prefilled, pulling embeddings included
    transfer_s: float  # KV hand-over, what of it prefill did not hide
    decode_s: float
    runs: int  # bindings; more than one where a worker was lost or the request preempted


class Ended(Message, frozen=True):
    """The last word about a request."""

    request_id: str
    finish_reason: str  # stop, length, cancelled or error
    usage: Usage
    timing: Timing
    error: str | None = None


class Refused(Message, frozen=True, omit_defaults=True):
    """The request was not admitted; `code` is one word, `reason` one sentence."""

    request_id: str
    code: str
    reason: str
    retry_after_s: float | None = None  # when it might be, if nobody else asked; None: not known


class Report(Message, frozen=True):
    """The answer to AskStatus and AskTrace: a JSON object, kept as bytes on the way."""

    ask: int
    body: bytes


class Event(Struct, frozen=True, forbid_unknown_fields=True):
    """Something that happened to the workers, or was decided about them."""

    number: int  # counted by the controller, from 1
    time: float  # seconds of Unix time
    kind: str  # one word for programs: docs/design.md lists them
    sentence: str
    fields: dict[str, str | int | float]


class Events(Message, frozen=True):
    """The answer to AskEvents, oldest first; ask again behind the last one until none come."""

    ask: int
    events: tuple[Event, ...]
    newest: int  # number of the last event that there is, 0 if none


class Tokens(Message, frozen=True):
    """The answer to AskTokens."""

    ask: int
    token_ids: tuple[int, ...]


class Pieces(Message, frozen=True):
    """The answer to AskPieces, in its order: bytes, since a character may take several tokens."""

    ask: int
    pieces: tuple[bytes, ...]


class Scaled(Message, frozen=True):
    """The answer to Scale, at once: what will be done, one sentence each."""

    ask: int
    steps: tuple[str, ...]
    after: int  # number of the last event before them


class Granted(Message, frozen=True):
    """The answer to Remove or Shutdown, once it has happened."""

    ask: int


class Switched(Message, frozen=True):
    """The answer to SetStages, once the worker serves them; all zero where it did already."""

    ask: int
    drain_s: float  # from the asking until it had nothing left
    switch_s: float  # from then until it served
    loaded_bytes: int  # of weights, for stages that its process had not had before


class Denied(Message, frozen=True, omit_defaults=True):
    """What was asked is not done, or not known; `ask` is -1 where it answers no numbered word."""

    ask: int
    reason: str
    again: bool = False  # to a worker: its work was given to others, it may say Hello afresh


class Ping(Message, frozen=True):
    """Are you there? The sending itself tells: a vanished peer is noticed by the socket."""


ToClient = (
    Greeting
    | Deltas
    | Ended
    | Refused
    | Report
    | Events
    | Tokens
    | Pieces
    | Scaled
    | Granted
    | Switched
    | Denied
    | Ping
)


# What a worker and the controller say to each other. `run` names an attempt: see scheduler/core.


class Hello(Message, frozen=True):
    """A worker's first word, before it has loaded anything."""

    protocol: int
    token: str
    epoch: int
    name: str  # "": the controller picks one
    stages: tuple[str, ...]
    host: str
    pid: int
    device: str
    dtype: str  # "auto" or a dtype that it insists on
    cores: int  # of the host
    threads: int  # 0: the controller shares them out
    log: str


class Loading(Message, frozen=True):
    done_bytes: int
    total_bytes: int


class Held(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A run that decodes in a worker by itself, whoever its controller was, or has ended there."""

    request_id: str
    run: int
    client: int
    before: tuple[int, ...]  # emitted before this run
    news: tuple[Delta, ...]  # everything that this run has emitted
    finish: str = ""  # "stop" or "length"


class Stored(Struct, frozen=True, forbid_unknown_fields=True):
    """An embedding that a worker made for the controller before, and still offers."""

    key: str
    run: int
    handle: TensorHandle


class Ready(Message, frozen=True, omit_defaults=True):
    """Loaded and warm; `held` and `stored`: what is left of the work for the controller before."""

    fingerprint: str
    dtype: str
    kv_blocks: int
    store_bytes: int
    staging_bytes: int
    held: tuple[Held, ...] = ()
    stored: tuple[Stored, ...] = ()


class Unable(Message, frozen=True):
    """The worker cannot serve: it leaves."""

    reason: str


class Beat(Message, frozen=True, omit_defaults=True):
    """A heartbeat, and how full the worker is."""

    kv_blocks_used: int = 0
    kv_blocks_cached: int = 0  # of ended requests, in the prefix cache; free for others
    prefix_tokens: int = 0  # since the start: of prompts that were looked up there
    prefix_hit_tokens: int = 0  # of them, found
    store_bytes_used: int = 0
    staging_bytes_used: int = 0
    running: int = 0
    waiting: int = 0
    links: int = 0
    quarantined_bytes: int = 0
    tokens: int = 0  # since the start: emitted by text stages
    image_tokens: int = 0  # encoded
    busy_s: float = 0.0  # spent in steps
    image_token_s: float = 0.0  # to encode one, as its last batches took; 0: it encoded none
    prompt_token_s: float = 0.0  # to prefill one
    decode_s: float = 0.0  # a step that only decodes
    row_s: float = 0.0  # a prompt token's products, however many come in a step
    resident_bytes: int = 0  # of the process


class EncodeDone(Message, frozen=True):
    key: str
    run: int
    handle: TensorHandle


class EncodeError(Message, frozen=True):
    key: str
    run: int
    reason: str
    fault: bool  # the picture's, not the worker's


class Landed(Message, frozen=True):
    """The embedding of one image has arrived at the text worker."""

    request_id: str
    run: int
    index: int


class PullError(Message, frozen=True):
    request_id: str
    run: int
    index: int
    gone: bool
    reason: str


class KvOffer(Message, frozen=True, omit_defaults=True):
    """KV of positions [start, end) to pull; `emitted` is set on the last one."""

    request_id: str
    run: int
    start: int
    end: int
    handle: TensorHandle
    emitted: tuple[int, ...] | None = None  # all tokens emitted so far; decode goes on from here


class KvTaken(Message, frozen=True):
    """That offer has arrived and can be released."""

    request_id: str
    run: int
    handle: TensorHandle
    last: bool


class Row(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """What one step did for one request."""

    request_id: str
    run: int
    emitted: int  # over all runs
    prefilled: bool = False  # the prompt was completed in this step
    finish: str = ""  # "stop" or "length"


class Stepped(Message, frozen=True):
    """One step of a text worker; a frame of Deltas for each of `clients` follows."""

    rows: tuple[Row, ...]
    clients: tuple[int, ...]


class GaveUp(Message, frozen=True):
    """Out of blocks: everything of this run is freed."""

    request_id: str
    run: int


class RunError(Message, frozen=True):
    request_id: str
    run: int
    reason: str
    fault: bool


class Relay(Message, frozen=True):
    """Words between two tensor ports, by way of the controller. `peer`: to whom, then from whom."""

    peer: str
    body: bytes


class Bye(Message, frozen=True):
    """The worker leaves now; what it had is gone."""


class Leave(Message, frozen=True):
    """The worker wants to go (it got SIGTERM): drain it."""


FromWorker = (
    Hello
    | Loading
    | Ready
    | Unable
    | Beat
    | EncodeDone
    | EncodeError
    | Landed
    | PullError
    | KvOffer
    | KvTaken
    | Stepped
    | GaveUp
    | RunError
    | Relay
    | Bye
    | Leave
    | Pong
)


class Welcome(Message, frozen=True):
    """The worker's part, all of it: no second file, no environment variables."""

    name: str
    model: str  # folder of the checkpoint
    fingerprint: str
    dtype: str
    block_size: int
    threads: int
    beat_s: float
    rejoin_s: float
    kv_bytes: int  # 0: a share of the memory that is free after loading
    store_bytes: int
    staging_bytes: int
    step_tokens: int  # budget of a text step, at most
    step_image_tokens: int  # budget of an encode batch
    prefix_bytes: int | None  # of KV that ended requests may leave for later ones; None: any


class Encode(Message, frozen=True):
    """Encode the image file in the frame behind this; `mode` is how it is cut (geometry)."""

    key: str
    run: int
    mode: str
    image_tokens: int  # by which batches are budgeted


class Forget(Message, frozen=True):
    key: str
    run: int


class Span(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Where an image stands in the prompt; `tiles` without the padding ones."""

    start: int
    length: int
    image: int
    rows: int
    tiles: int
    key: str  # of the image's content and how it is cut


class Prefill(Message, frozen=True):
    """Run a request from its first token; `token_ids` are prompt and emitted tokens."""

    request_id: str
    run: int
    client: int
    order: int
    rank: float  # its place among the prompts that wait; lower goes first
    tpot_s: float  # that it was promised
    token_ids: tuple[int, ...]
    prompt_tokens: int
    spans: tuple[Span, ...]
    sampling: Sampling  # with a seed
    hand_over: bool


class Decode(Message, frozen=True):
    """Take room for a request, then its KV as it is offered; fields as in Prefill."""

    request_id: str
    run: int
    client: int
    order: int
    tpot_s: float
    token_ids: tuple[int, ...]
    prompt_tokens: int
    spans: tuple[Span, ...]
    sampling: Sampling


class Supply(Message, frozen=True):
    """Pull the embedding of one image."""

    request_id: str
    run: int
    index: int
    handle: TensorHandle


class Release(Message, frozen=True):
    request_id: str
    run: int


class Share(Message, frozen=True):
    """The host's cores are divided anew."""

    threads: int
    beside: bool  # somebody who yields to this worker has work


class Switch(Message, frozen=True):
    """Nothing is left to do with the stages that it has: say Hello with these."""

    stages: tuple[str, ...]


class Stop(Message, frozen=True):
    """Nothing is left to do: leave."""


class Unknown(Message, frozen=True):
    """This controller has not met the worker: it says Hello, and keeps what it can go on with."""


class PeerGone(Message, frozen=True):
    """A process was lost: links to it end, whatever they wait for."""

    name: str
    epoch: int


ToWorker = (
    Welcome
    | Encode
    | Forget
    | Prefill
    | Decode
    | Supply
    | KvOffer
    | KvTaken
    | Release
    | Share
    | Switch
    | Stop
    | PeerGone
    | Relay
    | Unknown
    | Denied
    | Ping
)

ToController = FromClient | FromWorker


# Between two tensor ports, relayed by the controller. The one that wants tensors opens and
# numbers the link; a link carries tensors one way, from rank 0 (the owner) to rank 1.


class PeerWord(Message, frozen=True):
    """`source` and `target` are epochs: a word meant for a process that is gone is not heard."""

    source: int
    target: int
    link: int  # counted by the wanting port; an unknown higher number opens a link


class Want(PeerWord, frozen=True):
    id: int  # of this transfer, counted by the wanting port
    handle: int
    bytes: tuple[int, ...]  # expected of each part
    message_bytes: Annotated[int, Meta(ge=1)]  # a part travels as messages of at most this size


class Grant(PeerWord, frozen=True):
    """The parts follow on the link, after those granted before; a checksum last if `checked`."""

    id: int
    checked: bool
    before: int  # transfers granted on this link before: one that was lost must not go unnoticed


class Refuse(PeerWord, frozen=True):
    id: int
    reason: Literal["gone", "size"]
    detail: str


class Meet(PeerWord, frozen=True):
    """One value of the rendezvous, as the process group sets it in its store."""

    rank: Literal[0, 1]  # of the sayer on this link
    key: str
    value: bytes


class Unlink(PeerWord, frozen=True):
    """The sayer has left this link for good."""

    rank: Literal[0, 1]  # of the sayer on this link
    reason: str


BetweenPorts = Want | Grant | Refuse | Meet | Unlink
