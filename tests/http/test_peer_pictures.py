"""Pictures of a node that waits on another instance, over real HTTP: for members alone, and a precise refusal where they cannot be had."""

from __future__ import annotations

import itertools

import aiohttp
import pytest

from expeditor.events.mailbox import Mailbox
from expeditor.events.wait_pictures import WaitPictures
from expeditor.host.remote_pictures import RemotePictures
from expeditor.jobs.errors import NotFound, StoreUnavailable
from expeditor.jobs.waits import Ask, AskKind, Picture
from tests.support.peering import FakeMembers, Side

SHOWN = (Picture("image/jpeg", b"a jpeg" * 100_000), Picture("image/png", b"a png"))


class Between:
    """A node waits on b; a asks for its pictures."""

    def __init__(self, tmp_path):
        numbers = itertools.count(1)
        self.box = Mailbox(lambda: 1000.0, lambda: f"token-{next(numbers)}", WaitPictures(tmp_path / "waits"))
        members = FakeMembers()
        self.here, self.there = Side("a", tmp_path, members), Side("b", tmp_path, members, pictures=self.box).open()
        self.remote = RemotePictures(self.here.peers, self.here.thread)
        self.wait = self.box.open("job", "7", ask=Ask(AskKind.PICK, pictures=2), deadline_s=60, pictures=SHOWN)


@pytest.fixture
def between(tmp_path):
    made = Between(tmp_path)
    yield made
    for side in (made.there, made.here):
        side.stop()
        side.close()


async def test_pictures_come_whole_with_their_type(between):
    assert [await between.remote.picture("b", between.wait.token, n) for n in (0, 1)] == list(SHOWN)


async def test_what_is_not_there_or_over_is_not_found(between):
    for token, number in ((between.wait.token, 2), ("none", 0), ("../waits", 0)):
        with pytest.raises(NotFound):
            await between.remote.picture("b", token, number)
    between.box.close(between.wait.token)
    with pytest.raises(NotFound):
        await between.remote.picture("b", between.wait.token, 0)


async def test_an_instance_that_cannot_be_reached_is_told_of(between):
    between.there.close()
    with pytest.raises(StoreUnavailable, match="Instance b"):
        await between.remote.picture("b", between.wait.token, 0)


async def test_strangers_see_nothing(between):
    url = f"{between.there.served.url}/expeditor/peer/wait-pictures?token={between.wait.token}&number=0"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 401
