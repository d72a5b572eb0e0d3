import { readdirSync, readFileSync } from "node:fs";

import { expect, test } from "vitest";

/** What each room may import, besides itself. */
const ROOMS: Record<string, readonly string[]> = {
  model: [],
  views: ["model"],
  hosts: ["model", "views"],
};
/** What touches the page or its parts is no model; what touches Jupyter is a host. */
const FORBIDDEN: Record<string, RegExp> = {
  model: /\b(document|window|HTMLElement|Element|setTimeout|requestAnimationFrame)\b\s*[.(]/,
  views: /anywidget|AnyModel/,
};

const filesOf = (room: string): [string, string][] =>
  readdirSync(`js/src/${room}`)
    .filter((name) => name.endsWith(".ts"))
    .map((name) => [`${room}/${name}`, readFileSync(`js/src/${room}/${name}`, "utf8")]);

test("every file is in a room", () => {
  expect(new Set(readdirSync("js/src"))).toEqual(new Set(Object.keys(ROOMS)));
});

test("imports go one way: model, views, hosts", () => {
  const wrong: string[] = [];
  for (const [room, allowed] of Object.entries(ROOMS)) {
    for (const [file, text] of filesOf(room)) {
      for (const [, path = ""] of text.matchAll(/(?:from|import)\s*\(?"(\.[^"]*)"/g)) {
        const target = path.startsWith("./") ? room : path.replace("../", "").split("/")[0];
        if (target !== room && !allowed.includes(target ?? "")) wrong.push(`${file} -> ${path}`);
      }
    }
  }
  expect(wrong).toEqual([]);
});

test("the model knows no page, the views know no Jupyter", () => {
  for (const [room, forbidden] of Object.entries(FORBIDDEN)) {
    const found = filesOf(room).filter(([, text]) => forbidden.test(text));
    expect(found.map(([file]) => file)).toEqual([]);
  }
});
