"""What a run says here of a job of another instance, and what that instance makes of it: who hears what, in which order."""

from __future__ import annotations

import io
import threading
from concurrent.futures import Future

import pytest
from PIL import Image

from expeditor.host.early import EARLY_MAX_BYTES, EARLY_WORDS, EarlyWords
from expeditor.host.inbound import Inbound
from expeditor.host.native import GUEST_PREFIX, SYNTHETIC_PREFIX
from expeditor.host.outbound import PICTURES_APART_S, Outbound
from expeditor.host.pictures import is_ready
from expeditor.jobs.model import Attempt, JobStatus
from expeditor.jobs.relayed import MESSAGE, PICTURE, Message, Preview, message_body, preview_body
from tests.support.clocks import HandMonotonic
from tests.support.fake_cluster import FakeCluster
from tests.support.jobs import a_job

GUEST = f"{GUEST_PREFIX}a"


class FakeServer:
    """Notes what goes out on its sockets."""

    def __init__(self):
        self.sent = []
        self.sockets_metadata = {"ada": {"feature_flags": {"supports_preview_metadata": True}}}

    def send_sync(self, event, data, sid=None):
        self.sent.append((event, data, sid))


class FakeHandover:
    """Gives the futures that the test has laid out for a node's outputs; None for others."""

    def __init__(self):
        self.futures = {}

    def deliver(self, job_id, node_outputs):
        return self.futures.get(node_outputs["n"])


def job(**fields):
    attempts = (Attempt(1, 1.0, "west/1"),)
    usual = {"status": JobStatus.RUNNING, "origin": "east", "client_id": "ada", "attempts": attempts}
    return a_job(**(usual | fields))


class Two:
    """A run on west of a job of east's."""

    def __init__(self):
        self.relays = FakeCluster(lambda: 0.0)
        self.east, self.west, self.clock, self.handover = FakeServer(), FakeServer(), HandMonotonic(), FakeHandover()
        self.later = []
        self.inbound = Inbound(self.east, lambda _, then: self.later.append(then))
        home = self.relays.relay("east")
        home.listen(MESSAGE, self.inbound.heard_message)
        home.listen(PICTURE, self.inbound.heard_picture)
        self.outbound = Outbound(self.west, self.relays.relay("west"), self.handover, self.clock)
        self.outbound.begin(job())

    @property
    def told(self):
        return [(event, sid) for event, _, sid in self.east.sent]


@pytest.fixture
def two():
    made = Two()
    made.inbound.begin(job())
    return made


def test_a_run_s_messages_are_taken_by_their_socket_and_those_to_all_by_the_thread(two):
    assert two.outbound.takes("executing", GUEST)
    assert not two.outbound.takes("executing", "ada")
    assert two.outbound.takes("some.node", None)
    assert not two.outbound.takes("status", None)
    here = []
    other = threading.Thread(target=lambda: here.append(two.outbound.takes("some.node", None)))
    other.start()
    other.join()
    assert here == [False]
    two.outbound.forget("a")
    assert not two.outbound.takes("some.node", None)


def test_messages_reach_the_client_and_everybody_in_their_order(two):
    two.outbound.say("executing", {"node": "1"}, GUEST)
    two.outbound.say("some.node", {"x": 1}, None)
    two.outbound.say(3, b"\x00line", GUEST)
    assert two.told == [("executing", "ada"), ("some.node", None), (3, "ada")]
    assert two.east.sent[2][1] == b"\x00line"


def test_last_words_are_not_passed_on_but_a_blocked_branch_is(two):
    for word in ("execution_success", "execution_interrupted", "execution_error"):
        two.outbound.say(word, {"prompt_id": "a"}, GUEST)
    two.outbound.say("executing", {"node": None}, GUEST)
    two.outbound.say("execution_error", {"exception_type": "ExecutionBlocked"}, GUEST)
    assert two.told == [("execution_error", "ada")]


def test_a_result_waits_for_its_files_and_what_follows_waits_for_it(two):
    home = two.handover.futures["x"] = Future()
    two.outbound.say("executed", {"node": "1", "output": {"n": "x"}}, GUEST)
    two.outbound.say("executing", {"node": "2"}, GUEST)
    two.outbound.over("a")
    assert two.told == []
    home.set_result({"n": "x at home"})
    assert two.told == [("executed", "ada"), ("executing", "ada")]
    assert two.east.sent[0][1] == {"node": "1", "output": {"n": "x at home"}}
    two.outbound.say("executed", {"node": "3", "output": {"n": "no files"}}, GUEST)
    assert two.east.sent[-1][1]["output"] == {"n": "no files"}


def test_what_is_no_json_is_left_out_and_costs_nothing(two):
    two.outbound.say("some.node", {"x": object()}, GUEST)
    two.outbound.say("executing", {"node": "1"}, GUEST)
    assert two.told == [("executing", "ada")]


def test_pictures_are_few_and_reach_each_client_in_the_form_that_it_reads(two):
    picture = (("JPEG", Image.new("RGB", (8, 8)), 512), {"node_id": "1", "prompt_id": "a"})
    two.outbound.say(4, picture, GUEST)
    two.outbound.say(4, picture, GUEST)
    two.clock.now_s += PICTURES_APART_S
    del two.east.sockets_metadata["ada"]
    two.outbound.say(4, picture, GUEST)
    assert two.told == [(4, "ada"), (2, "ada")]
    (image, about), bare = two.east.sent[0][1], two.east.sent[1][1]
    assert about == {"node_id": "1", "prompt_id": "a"}
    for name, ready, max_size in (image, bare):
        file = io.BytesIO()
        ready.save(file, format=name, quality=95, compress_level=1)
        assert Image.open(file).size == (8, 8)
        assert max_size is None
    assert is_ready(two.east.sent[0][1])
    assert is_ready(bare)
    assert not is_ready(picture)


def test_a_job_without_a_client_speaks_to_nobody_s_socket():
    two = Two()
    two.inbound.begin(job(client_id=None))
    two.outbound.say("progress_state", {}, GUEST)
    assert two.told == [("progress_state", f"{SYNTHETIC_PREFIX}a")]


def test_only_the_instance_that_runs_the_job_is_heard(two):
    two.relays.relay("north").send("east", MESSAGE, message_body(Message("a", "executing", {"node": "9"})))
    assert two.told == []


def test_what_comes_too_early_is_told_once_its_start_is_known_up_to_a_bound():
    two = Two()
    for n in range(EARLY_WORDS + 5):
        two.outbound.say("progress", {"value": n}, GUEST)
    assert two.told == []
    two.inbound.begin(job())
    assert [data["value"] for _, data, _ in two.east.sent] == list(range(EARLY_WORDS))


def test_of_early_pictures_the_last_alone_is_told():
    two = Two()
    for n in range(3):
        picture = Preview("a", "PNG", b"picture %d" % n)
        two.relays.relay("west").send("east", PICTURE, preview_body(picture))
    two.outbound.say("progress", {"value": 1}, GUEST)
    two.inbound.begin(job())
    assert two.told == [(2, "ada"), ("progress", "ada")]


def test_what_comes_too_early_is_bounded_in_bytes_and_the_longest_silent_gives_way():
    early, quarter_bytes = EarlyWords(), EARLY_MAX_BYTES // 4
    words = [Message(name, "progress", n) for n, name in enumerate("abca")]
    for word in words:
        early.keep("west", word, quarter_bytes)
    early.keep("west", Message("d", "progress"), quarter_bytes)
    assert early.size_bytes == EARLY_MAX_BYTES
    assert early.taken("west", "b") == []
    assert early.taken("west", "a") == [words[0], words[3]]
    early.keep("west", Message("e", "progress"), EARLY_MAX_BYTES + 1)
    assert early.taken("west", "e") == []
    assert early.taken("west", "c") == [words[2]]
    early.forget("d")
    assert early.size_bytes == 0


def test_the_end_waits_for_the_run_s_last_words_or_a_moment(two):
    ended = []
    two.outbound.say("executed", {"node": "1", "output": {"n": "x"}}, GUEST)
    two.inbound.close("a", ended.append)
    assert ended == []
    two.outbound.over("a")
    assert ended == [frozenset({"1"})]
    two.later.pop()()
    assert len(ended) == 1
    two.inbound.begin(job(id="b"))
    two.inbound.close("b", ended.append)
    two.later.pop()()
    assert ended[1:] == [frozenset()]
    two.inbound.close("unknown", ended.append)
    assert len(ended) == 3


def test_who_comes_back_hears_which_node_runs(two):
    two.outbound.say("executing", {"node": "7"}, GUEST)
    two.east.sent.clear()
    two.inbound.greet("bob")
    two.inbound.greet("ada")
    assert two.east.sent == [("executing", {"node": "7", "prompt_id": "a"}, "ada")]
    two.inbound.put_back("a")
    two.inbound.greet("ada")
    assert len(two.east.sent) == 1


def test_comfyui_gives_its_pictures_names_for_the_time_of_the_run(two):
    assert two.west.sockets_metadata[GUEST] == {"feature_flags": {"supports_preview_metadata": True}}
    two.outbound.forget("a")
    assert GUEST not in two.west.sockets_metadata
