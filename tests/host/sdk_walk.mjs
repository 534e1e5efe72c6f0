// The official TypeScript SDK, as npm has it, walked by Node: `node sdk_walk.mjs <the SDK's index.js> <phase> [job ids]`.
// Prints one JSON object with what it saw; what that should be is told in test_v2_typescript_sdk.py.

const [sdk, phase, ...ids] = process.argv.slice(2);
const { Comfy } = await import(sdk);
const client = new Comfy();
const PLENTY_MS = 60_000;

const picture = (color, size = 16) => ({
  1: { class_type: "EmptyImage", inputs: { width: size, height: size, batch_size: 1, color } },
  2: { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "ts" } },
});
const inverted = (image) => ({
  1: { class_type: "LoadImage", inputs: { image } },
  2: { class_type: "ImageInvert", inputs: { image: ["1", 0] } },
  3: { class_type: "SaveImage", inputs: { images: ["2", 0], filename_prefix: "ts/inverted" } },
});
const gate = (name) => ({ 1: { class_type: "ExpeditorTestGate", inputs: { name } } });
const raises = { 1: { class_type: "ExpeditorTestRaises", inputs: { salt: 901 } } };
const wrap = (graph) => client.workflows.fromJson(graph);

async function told(step) {
  try {
    await step();
  } catch (error) {
    return { name: error.constructor.name, code: error.code ?? null, status: error.httpStatus ?? null };
  }
  return null;
}

async function untilRunning(job) {
  const end = Date.now() + PLENTY_MS;
  while ((await job.refresh()).status !== "running" && Date.now() < end);
  return job;
}

// The width of a PNG.
const widthOf = (bytes) => new DataView(bytes.buffer, bytes.byteOffset).getUint32(16);

const phases = {
  async jobs() {
    const job = await client.run(wrap(picture(11)));
    const [output] = job.outputs;
    const bytes = await output.toBytes();
    const part = await output.toBytes({ range: [1, 3] });
    const again = await client.jobs.get(job.id);
    const failed = await told(() => client.run(wrap(raises)));
    return {
      status: job.status,
      output: { type: output.type, contentType: output.contentType, size: output.sizeBytes, sent: bytes.length },
      part: [...part],
      url: (await output.getDownloadUrl()).url,
      again: again.outputs[0].id === output.id,
      workflow: Object.keys((await job.getWorkflow()).workflow),
      failed,
    };
  },

  async events() {
    const slow = { class_type: "ExpeditorTestSleepy", inputs: { seconds: 1.5, steps: 3, salt: 902 } };
    const job = await client.submit(wrap({ ...picture(12), 3: slow }));
    const seen = [];
    for await (const event of job.events()) seen.push(event.kind === "statusChange" ? event.status : event.kind);
    return { seen, status: (await job.refresh()).status };
  },

  async cancel() {
    const holder = await untilRunning(await client.submit(wrap(gate("ts-cancel"))));
    const waiting = await client.submit(wrap(picture(13)));
    const queued = (await waiting.cancel()).status;
    const running = (await (await holder.cancel()).wait(PLENTY_MS)).status;
    const finished = await client.run(wrap(picture(14)));
    return { queued, running, finished: (await finished.cancel()).status };
  },

  async assets() {
    const source = await client.run(wrap(picture(15, 23)));
    const bytes = await source.outputs[0].toBytes();
    const first = client.assets.fromBytes(bytes, { filename: "für dich.png" });
    const same = client.assets.fromBytes(bytes, { filename: "für dich.png" });
    await first.commit();
    await same.commit();
    const loaded = wrap(inverted(null));
    loaded.setInput("1", "image", first);
    const uploaded = await client.run(loaded);
    const chained = wrap(inverted(null));
    chained.setInput("1", "image", await client.assets.get(uploaded.outputs[0].id));
    const second = await client.run(chained);
    const named = await client.run(wrap(inverted("für dich.png")));
    const missing = wrap(inverted({ __type: "core/ASSET", info: { id: "00000000-0000-4000-8000-000000000000" } }));
    const holder = await untilRunning(await client.submit(wrap(gate("ts-assets"))));
    const held = client.assets.fromBytes(await second.outputs[0].toBytes(), { filename: "held.png" });
    const needs = wrap(inverted(null));
    needs.setInput("1", "image", held);
    const waiting = await client.submit(needs);
    const inUse = await told(() => held.delete());
    await waiting.cancel();
    await held.delete();
    await holder.cancel();
    return {
      created: [first.createdNew, same.createdNew, first.id === same.id],
      widths: await Promise.all([uploaded, second, named].map(async (job) => widthOf(await job.outputs[0].toBytes()))),
      fromJob: (await client.assets.get(uploaded.outputs[0].id)).jobId === uploaded.id,
      missing: await told(() => client.submit(missing)),
      inUse,
      gone: await told(() => client.assets.delete(first.id).then(() => client.assets.get(first.id))),
    };
  },

  async before() {
    const done = await client.run(wrap(picture(16, 29)));
    const runs = await untilRunning(await client.submit(wrap(gate("ts-restart"))));
    const waits = wrap(inverted(null));
    waits.setInput("1", "image", await client.assets.get(done.outputs[0].id));
    return { ids: [done.id, runs.id, (await client.submit(waits)).id] };
  },

  async after() {
    const [done, runs, waits] = await Promise.all(ids.map((id) => client.jobs.get(id)));
    await Promise.all([runs.wait(PLENTY_MS), waits.wait(PLENTY_MS)]);
    const jobs = [done, runs, waits];
    return { statuses: jobs.map((job) => job.status), widths: [done, waits].map((job) => job.outputs.length) };
  },
};

console.log(JSON.stringify(await phases[phase]()));
