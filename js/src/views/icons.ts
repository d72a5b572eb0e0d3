/** The icons: one set, drawn on a grid of 16, with the colour of the text around them. */

const SVG = "http://www.w3.org/2000/svg";

const PATHS = {
  pending: "M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11",
  running: "M8 2.5A5.5 5.5 0 0 1 13.5 8",
  succeeded: "M3.5 8.5l3 3 6-7",
  failed: "M4 4l8 8M12 4l-8 8",
  waiting: "M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11M8 5v3.2l2 1.3",
  chevron: "M6 4l4 4-4 4",
  search: "M7 3a4 4 0 1 0 0 8 4 4 0 0 0 0-8M10 10l3.5 3.5",
  copy: "M6 5.5h7v8H6zM3.5 10.5v-8h6.5",
} as const;

export type Icon = keyof typeof PATHS;

/** Draws an icon; what it means stands beside it as text, so it is hidden from readers. */
export function icon(name: Icon): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  for (const [key, value] of Object.entries({
    viewBox: "0 0 16 16",
    width: "16",
    height: "16",
    fill: "none",
    stroke: "currentColor",
    "stroke-width": "1.75",
    "stroke-linecap": "round",
    "stroke-linejoin": "round",
    "aria-hidden": "true",
    class: `sb-icon sb-icon-${name}`,
  })) {
    svg.setAttribute(key, value);
  }
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  if (name === "pending") path.setAttribute("stroke-dasharray", "2 2.3");
  if (name === "running") {
    // The quiet full ring under the moving arc keeps the shape readable when nothing moves.
    const ring = document.createElementNS(SVG, "path");
    ring.setAttribute("d", PATHS.pending);
    ring.setAttribute("opacity", "0.25");
    svg.append(ring);
  }
  svg.append(path);
  return svg;
}
