// Names and tooltips of our nodes, put into ComfyUI's definitions.

import assert from "node:assert/strict";
import { test } from "node:test";

import { translate } from "../../web/js/translation.js";

const definitions = () => ({
  PickImages: {
    category: "Expeditor/Flow",
    display_name: "Pick images",
    description: "Shows a batch.",
    input: { required: { images: ["IMAGE", { tooltip: "The batch." }], least: ["INT", { tooltip: "How many.", min: 0 }] } },
  },
  LoadImage: { category: "image", display_name: "Load Image" },
});

test("name, description and tooltips are replaced where there is a text", () => {
  const found = definitions();
  translate(found, { PickImages: { display_name: "选择图像", inputs: { images: { tooltip: "批次。" }, gone: { tooltip: "无" } } } });
  assert.equal(found.PickImages.display_name, "选择图像");
  assert.equal(found.PickImages.description, "Shows a batch.");
  assert.equal(found.PickImages.input.required.images[1].tooltip, "批次。");
  assert.deepEqual(found.PickImages.input.required.least[1], { tooltip: "How many.", min: 0 });
});

test("nodes of others and texts without a node are left alone", () => {
  const found = definitions();
  translate(found, { LoadImage: { display_name: "加载图像" }, Nobody: { display_name: "无" } });
  assert.deepEqual(found, definitions());
});
