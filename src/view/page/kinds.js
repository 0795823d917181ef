// Kinds of charts: each is a function from a chart to what Plotly draws. Another kind is one more function in KINDS.
//
// A card (see charts.js) comes with its chart, its size, and what the reader chose. A figure is {traces, layout} for Plotly, the
// groups of the legend and a note for under it; null where there is nothing to draw.

import { escaped, faded, number, readable, short, ticks, visible } from './format.js';

export const KINDS = { area, pie };

/** The most groups that are named on the chart itself: at its edge, at its slices, in its readout. */
export const NAMED = 12;

/** Colours that people who see colours otherwise can tell apart (Okabe and Ito), for groups that the dashboard gives none. */
const PALETTE = ['#0072B2', '#E69F00', '#009E73', '#CC79A7', '#56B4E9', '#D55E00', '#F0E442', '#6B6B6B'];
/** A second and a third round of the palette. */
const DASHES = ['solid', 'dash', 'dot'];
/** The place in the palette of each group without a colour: the same in all charts. */
const places = new Map();

/** The name of a group, which can be an empty text. */
export const named = (group) => (group.name === '' ? '(empty)' : group.name);

/** The page's colours, of the theme that it wears. */
export function theme() {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name).trim();
  return {
    card: color('--card'), text: color('--text'), soft: color('--soft'), line: color('--line'), font: style.fontFamily,
    dark: document.documentElement.dataset.theme === 'dark',
  };
}

function placeOf(group) {
  if (!places.has(group.name)) places.set(group.name, places.size);
  return places.get(group.name);
}

/** The group's own colour, made visible on a dark ground, or one of the palette. */
export function colorOf(group, wears) {
  if (group.color) return wears.dark ? visible(group.color, wears.card) : group.color;
  return visible(PALETTE[placeOf(group) % PALETTE.length], wears.card);
}

/** The line of a group whose colour another one has already: dashed, then dotted. */
function dashOf(group) {
  return group.color ? 'solid' : DASHES[Math.floor(placeOf(group) / PALETTE.length) % DASHES.length];
}

/** The time and the buckets that can be seen: all, or what the reader zoomed to. */
export function seen(card) {
  const { times, grain } = card.chart;
  const [begin, end] = card.whole;
  const zoomed = card.zoom ? [Math.max(card.zoom[0], begin), Math.min(card.zoom[1], end)] : [begin, end];
  const range = zoomed[0] < zoomed[1] ? zoomed : [begin, end];
  const first = Math.max(0, times.findLastIndex((time) => time <= range[0]));
  const last = Math.max(first, times.findLastIndex((time) => time < range[1]));
  return { range, first, last };
}

/** The series as they lie on the axis: the upper edge of each at a bucket. */
function edges(series, index, mode) {
  const values = series.map((one) => one.values[index] ?? 0);
  if (mode === 'lines') return values;
  const all = mode === 'share' ? values.reduce((sum, value) => sum + value, 0) / 100 || 1 : 1;
  let sum = 0;
  return values.map((value) => (sum += value) / all);
}

/** The reach of the upright axis over what can be seen. */
function reach(series, mode, first, last) {
  if (mode === 'share') return [0, 100];
  let [least, most] = [0, 0];
  for (let index = first; index <= last; index += 1) {
    for (const edge of edges(series, index, mode)) [least, most] = [Math.min(least, edge), Math.max(most, edge)];
  }
  return [least * 1.06, most * 1.06 || 1];
}

/** Names at the right edge, each at the height of its band, moved apart where they would lie on each other. */
function labels(series, card, view, span, height, wears) {
  if (series.length > NAMED) return [];
  const { times } = card.chart;
  const open = card.chart.open_from ?? Infinity;
  // The last closed bucket: the open one is still low.
  let at = view.last;
  while (at > view.first && times[at] >= open) at -= 1;
  const tops = edges(series, at, card.mode);
  const pixel = (value) => ((value - span[0]) / (span[1] - span[0])) * height;
  const heights = tops.map((top, index) => (card.mode === 'lines' ? pixel(top) : (pixel(top) + pixel(tops[index - 1] ?? 0)) / 2));
  const order = heights.map((_, index) => index).sort((a, b) => heights[a] - heights[b]);
  const GAP = 15;
  order.forEach((index, rank) => {
    const below = rank ? heights[order[rank - 1]] + GAP : GAP / 2;
    heights[index] = Math.max(heights[index], below);
  });
  let above = height + GAP / 2;
  for (const index of order.reverse()) {
    heights[index] = Math.min(heights[index], above - GAP);
    above = heights[index];
  }
  return series.map((one, index) => ({
    text: escaped(short(named(one), 10)), x: 1, xref: 'paper', xanchor: 'left', xshift: 5, y: heights[index] / height, yref: 'paper',
    yanchor: 'middle', showarrow: false, font: { size: 12, color: wears.text },
  }));
}

/** What lies over the buckets of windows that are still open: a veil, and its name above it. */
function veil(card, view, wears) {
  const open = card.chart.open_from;
  if (open === null || open === undefined || open >= view.range[1]) return { shapes: [], annotations: [] };
  const from = Math.max(open, view.range[0]);
  const edge = { type: 'line', x0: from, x1: from, yref: 'paper', y0: 0, y1: 1, line: { color: wears.soft, width: 1, dash: 'dot' } };
  const cover = { type: 'rect', x0: from, x1: view.range[1], yref: 'paper', y0: 0, y1: 1, line: { width: 0 },
    fillcolor: faded(wears.card, 0.6), layer: 'above' };
  const name = { text: 'open', x: 1, xref: 'paper', xanchor: 'right', y: 1, yref: 'paper', yanchor: 'bottom', showarrow: false,
    font: { size: 11, color: wears.soft } };
  return { shapes: [cover, edge], annotations: [name] };
}

/** Series on series over time, as steps or lines; or beside each other, or as shares of each bucket's sum. */
function area(card, wears) {
  const { chart, mode } = card;
  const series = chart.series.filter((one) => !card.hidden.has(one.name));
  if (!chart.times.length || !series.length) return null;
  const { width, height } = card.size;
  const view = seen(card);
  const stroke = width / (view.last - view.first + 1) < 3 ? 1 : 1.6;
  const upright = reach(series, mode, view.first, view.last);
  const longest = series.length > NAMED ? 0 : Math.max(...series.map((one) => [...short(named(one), 10)].length));
  const margin = { l: 46, r: 14 + Math.ceil(longest * 7.6), t: 18, b: 26 };
  // The last bucket is a stretch as the others are: its value stands once more at its end.
  const times = chart.step ? [...chart.times, chart.times.at(-1) + chart.grain] : chart.times;
  const traces = series.map((one) => {
    const color = colorOf(one, wears);
    const fillcolor = faded(color, wears.dark ? 0.32 : 0.22);
    const stacked = { stackgroup: 'all', groupnorm: mode === 'share' ? 'percent' : '', stackgaps: 'infer zero', fillcolor };
    return {
      type: 'scatter', mode: 'lines', name: escaped(named(one)), hoverinfo: 'skip', x: times,
      y: chart.step ? [...one.values, one.values.at(-1)] : one.values,
      line: { shape: chart.step ? 'hv' : 'linear', width: stroke, dash: dashOf(one), color },
      ...(mode === 'lines' ? {} : stacked),
    };
  });
  const marks = ticks(...view.range, Math.max(2, Math.floor((width - margin.l - margin.r) / 92)));
  const over = veil(card, view, wears);
  const names = labels(series, card, view, upright, height - margin.t - margin.b, wears);
  return {
    traces,
    layout: {
      margin,
      xaxis: {
        range: view.range, tickmode: 'array', tickvals: marks.map((mark) => mark.at), tickangle: 0, ticks: 'outside', ticklen: 4,
        ticktext: marks.map((mark) => (mark.strong ? `<b>${mark.text}</b>` : mark.text)), tickcolor: wears.soft,
        showgrid: false, zeroline: false, showline: true, linecolor: wears.soft,
      },
      yaxis: {
        range: upright, fixedrange: true, gridcolor: wears.line, zeroline: false, nticks: 6, tickformat: mode === 'share' ? '.0f' : '~s',
        ticksuffix: mode === 'share' ? '%' : '',
      },
      shapes: over.shapes,
      annotations: [...over.annotations, ...names],
    },
    groups: chart.series,
    note: over.shapes.length ? 'Lighter: window still open, more may come' : '',
  };
}

/** The share of each group in the whole. */
function pie(card, wears) {
  const slices = [...card.chart.slices].sort((a, b) => (b.value ?? 0) - (a.value ?? 0));
  const shown = slices.filter((slice) => slice.value > 0 && !card.hidden.has(slice.name));
  if (!shown.length) return null;
  const narrow = card.size.width < 280;
  const name = shown.length > NAMED ? '' : '<b>%{text}</b><br>';
  return {
    traces: [{
      // Plotly adds slices of one label up, so the labels are numbers; the names, which may be shortened, are texts.
      type: 'pie', labels: shown.map((_, index) => index), values: shown.map((slice) => slice.value), sort: false, direction: 'clockwise',
      text: shown.map((slice) => escaped(short(named(slice), narrow ? 7 : 12))), texttemplate: `${name}%{percent:${narrow ? '.1%' : '.2%'}}`,
      textposition: narrow ? 'inside' : 'outside', insidetextorientation: 'horizontal', automargin: true,
      insidetextfont: { color: shown.map((slice) => readable(colorOf(slice, wears))) },
      customdata: shown.map((slice) => `${escaped(named(slice))}: ${number(slice.value)}`),
      hovertemplate: '%{customdata[0]} (%{percent:.2%})<extra></extra>',
      marker: { colors: shown.map((slice) => colorOf(slice, wears)), line: { color: wears.card, width: 2 } },
    }],
    layout: { margin: { l: 8, r: 8, t: 12, b: 12 } },
    groups: card.chart.slices,
    note: `Total ${number(shown.reduce((sum, slice) => sum + slice.value, 0))}`,
  };
}
