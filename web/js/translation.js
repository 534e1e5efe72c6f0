// @ts-check
/**
 * Names and tooltips of our nodes in the language of the page. Frontend 1.32.9 forgets the translations of all packs when it
 * starts in another language than English, so they are put into the definitions; a page that keeps them says the same.
 * Knows no page and asks nobody.
 */

/** @typedef {{display_name?: string, description?: string, inputs?: Record<string, {tooltip?: string}>}} NodeTexts */

const OURS = "Expeditor/";

/**
 * Puts texts into the definitions of our nodes, in place; what has no text stays as it is, as do the nodes of others.
 * @param {Record<string, any>} definitions by class, as `/object_info` gives them
 * @param {Record<string, NodeTexts>} texts by class
 */
export function translate(definitions, texts) {
  for (const [kind, text] of Object.entries(texts)) {
    const definition = definitions[kind];
    if (!definition?.category?.startsWith(OURS)) continue;
    definition.display_name = text.display_name ?? definition.display_name;
    definition.description = text.description ?? definition.description;
    const inputs = { ...definition.input?.required, ...definition.input?.optional };
    for (const [name, { tooltip }] of Object.entries(text.inputs ?? {})) {
      const options = inputs[name]?.[1];
      if (options && tooltip) options.tooltip = tooltip;
    }
  }
}
