"""A browser's own EventSource on our streams: it hears a job's whole life, and stops when there is nothing more."""

from __future__ import annotations

FOLLOW = """async (prompt) => {
    const answer = await fetch("/expeditor/submit", {method: "POST", body: JSON.stringify({prompt}),
        headers: {"Content-Type": "application/json"}});
    const job = await answer.json();
    const told = [];
    const types = ["job.queued", "job.started", "job.output", "job.succeeded", "job.failed"];
    const source = new EventSource(`/expeditor/jobs/${job.id}/events`);
    return await new Promise((done) => {
        for (const type of types)
            source.addEventListener(type, (event) => told.push({type, id: event.lastEventId, ...JSON.parse(event.data)}));
        // The server closes the stream after the job's end. The browser comes back with its last id, is told that there is no
        // more, and gives up.
        source.onerror = () => { if (source.readyState === EventSource.CLOSED) done({job: job.id, told}); };
    });
}"""
PROMPT = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": 77}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "events"}},
}


def test_an_event_source_hears_a_job_and_stops_after_its_end(editor):
    found = editor.page.evaluate(FOLLOW, PROMPT)
    told = found["told"]
    assert [event["type"] for event in told] == ["job.queued", "job.started", "job.output", "job.succeeded"]
    assert [event["number"] for event in told] == [1, 2, 3, 4]
    assert [event["id"] for event in told] == [event["cursor"] for event in told]
    assert {event["job_id"] for event in told} == {found["job"]}
