// The page's client: what it sends, what it makes of answers. The api object is a stand-in that records.
import assert from "node:assert/strict";
import { test } from "node:test";

import { ExpeditorClient } from "../../web/js/api.js";
import { Refusal } from "../../web/js/refusal.js";

function recordingApi(status, text) {
  const asked = [];
  const fetchApi = async (route, options) => {
    asked.push({ route, options });
    return new Response(text, { status });
  };
  return { asked, clientId: "page-1", fetchApi };
}

test("a message goes as FormData with only the fields it has, and without a content type of its own", async () => {
  const api = recordingApi(200, '{"delivered": true, "token": "t"}');
  const answer = await new ExpeditorClient(api).send({ message: "go <on>", node_id: "3:7", token: "t", prompt_id: undefined });
  assert.equal(answer.token, "t");
  const [{ route, options }] = api.asked;
  assert.equal(route, "/expeditor/messages");
  assert.equal(options.method, "POST");
  assert.equal(options.headers, undefined);
  assert.deepEqual([...options.body.entries()], [["message", "go <on>"], ["node_id", "3:7"], ["token", "t"]]);
});

test("a submit carries prompt, priority, client and workflow", async () => {
  const api = recordingApi(201, '{"id": "job-1"}');
  await new ExpeditorClient(api).submit({ output: { 1: {} }, workflow: { nodes: [] } }, 9);
  const [{ route, options }] = api.asked;
  assert.equal(route, "/expeditor/submit");
  assert.deepEqual(JSON.parse(options.body), {
    prompt: { 1: {} },
    priority: 9,
    client_id: "page-1",
    extra_data: { extra_pnginfo: { workflow: { nodes: [] } } },
  });
});

test("a refusal is thrown with its status", async () => {
  const api = recordingApi(409, '{"error": {"code": "CONFLICT", "message": "Two wait.", "errors": []}}');
  await assert.rejects(new ExpeditorClient(api).send({ message: "", node_id: "7" }), (error) => {
    assert.ok(error instanceof Refusal);
    assert.deepEqual([error.status, error.code, error.message], [409, "CONFLICT", "Two wait."]);
    return true;
  });
});

test("an answer that is no JSON is a refusal too", async () => {
  const api = recordingApi(502, "<html>Bad gateway</html>");
  await assert.rejects(new ExpeditorClient(api).pendingWaits(), { name: "Refusal", status: 502 });
});

test("the list of waits tells how far the server's clock is ahead", async () => {
  const ahead = new Date(Date.now() + 90_000).toUTCString();
  const answer = new Response('{"pending": [{"token": "t"}]}', { headers: { Date: ahead } });
  const { waits, skewMs } = await new ExpeditorClient({ fetchApi: async () => answer, apiURL: (route) => route }).pendingWaits();
  assert.deepEqual(waits, [{ token: "t" }]);
  assert.ok(Math.abs(skewMs - 90_000) < 5_000, String(skewMs));
});

test("without a date the clocks are taken to agree, and pictures are where the page's address has them", async () => {
  const api = { ...recordingApi(200, '{"pending": []}'), apiURL: (route) => `/behind/api${route}` };
  const client = new ExpeditorClient(api);
  assert.deepEqual(await client.pendingWaits(), { waits: [], skewMs: 0 });
  assert.equal(client.pictureUrl("/expeditor/messages/t/images/0"), "/behind/api/expeditor/messages/t/images/0");
});
