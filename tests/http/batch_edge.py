"""The small app of `tests.http.edge` with the real stages of validation, and what tests of batches ask of it."""

from __future__ import annotations

import copy

from expeditor.intake.validation import PromptValidation, ValidationRules
from expeditor.store.records import JobQuery
from tests.conformance.harness import done
from tests.http.edge import App
from tests.unit.intake.fake_definitions import FakeDefinitions, graph

BATCHES = "/expeditor/batches"
SEEDS = {"product": {"1.color": [1, 2], "3.filename_prefix": ["a", "b", "c"]}}
UUID = "0b8f9c1e-0000-4000-8000-00000000abcd"


class BatchApp(App):
    """The small app with the real stages of validation."""

    def validation(self):
        self.definitions = FakeDefinitions()
        return PromptValidation(self.definitions, ValidationRules())


async def posted(http, body, query="", status=201, **headers):
    response = await http.post(BATCHES + query, json=body, headers=headers)
    told = await response.json()
    assert response.status == status, told
    return told


async def got(http, path):
    response = await http.get(path)
    assert response.status == 200, await response.text()
    return await response.json()


def jobs_of(edge, batch_id):
    return sorted(done(edge.store.page(JobQuery(batch_id=batch_id, limit=1000))).jobs, key=lambda job: job.slot.index)


def prompts(*colors):
    """Prompts that differ in a colour."""
    made = []
    for color in colors:
        prompt = copy.deepcopy(graph())
        prompt["1"]["inputs"]["color"] = color
        made.append(prompt)
    return made


def nothing_is_left(edge):
    assert done(edge.store.page(JobQuery())).jobs == ()
    assert edge.reservations.held == 0
