// Kinds of charts: each is a function from a chart to what is drawn. Another kind is one more function in KINDS.
//
// A card (see charts.js) comes with its chart, its size, and what the reader chose. A figure has the groups of the legend, a note for
// under it, and either {traces, layout} for Plotly or, of the kinds in PLAIN, a function that fills a place with HTML; it is null where
// there is nothing to draw.

import { escaped, faded, lasting, named, number, readable, short, ticks, visible, worded } from './format.js';
import { fill } from './table.js';

export const KINDS = { area, line, bar, pie, 'big-number': bigNumber, table };

/** Kinds that are read as they are: they need no chart library, and no table behind them. */
export const PLAIN = ['big-number', 'table'];

/** The ways to draw series over time, of the kinds that leave a choice. */
export const MODES = {
  area: { lines: 'Lines', stack: 'Stack', share: 'Share' },
  bar: { group: 'Group', stack: 'Stack', share: 'Share' },
};

/** The way that the pipeline file asks for. */
export function modeOf(chart) {
  if (chart.kind !== 'line' && chart.stack) return 'stack';
  return chart.kind === 'bar' ? 'group' : 'lines';
}

/** Whether a bucket is drawn as a stretch of time, not as a point. */
export const level = (chart) => chart.step || chart.kind === 'bar';

/** The most groups that are named on the chart itself: at its edge, at its slices, in its readout. */
export const NAMED = 12;

/** Colours that people who see colours otherwise can tell apart (Okabe and Ito), for groups that the dashboard gives none. */
const PALETTE = ['#0072B2', '#E69F00', '#009E73', '#CC79A7', '#56B4E9', '#D55E00', '#F0E442', '#6B6B6B'];
/** A second and a third round of the palette. */
const DASHES = ['solid', 'dash', 'dot'];
/** The places in the palette of groups without a colour, by what they are groups of: the same in all charts. */
const places = new Map();

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
  if (!places.has(group.of)) places.set(group.of, new Map());
  const known = places.get(group.of);
  if (!known.has(group.name)) known.set(group.name, known.size);
  return known.get(group.name);
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

/** The least width of one of several bars beside each other, in pixels. */
const THIN = 2;

/** The whole time; of bars beside each other no more than there is room for, unless the reader zoomed. */
function latest(card) {
  const [begin, end] = card.whole;
  if (card.mode !== 'group' || card.zoom) return [begin, end];
  const fit = Math.max(1, Math.floor((card.size.width - 60) / (THIN * card.chart.series.length)));
  return [Math.max(begin, end - fit * card.chart.grain), end];
}

/** The time and the buckets that can be seen: all, or what the reader zoomed to. */
export function seen(card) {
  const { times } = card.chart;
  const [begin, end] = latest(card);
  const zoomed = card.zoom ? [Math.max(card.zoom[0], begin), Math.min(card.zoom[1], end)] : [begin, end];
  const range = zoomed[0] < zoomed[1] ? zoomed : [begin, end];
  const first = Math.max(0, times.findLastIndex((time) => time <= range[0]));
  const last = Math.max(first, times.findLastIndex((time) => time < range[1]));
  return { range, first, last };
}

const isApart = (mode) => mode === 'lines' || mode === 'group';

/** The series as they lie on the axis: the upper edge of each at a bucket. */
function edges(series, index, mode) {
  const values = series.map((one) => one.values[index] ?? 0);
  if (isApart(mode)) return values;
  const all = mode === 'share' ? values.reduce((sum, value) => sum + value, 0) / 100 || 1 : 1;
  let sum = 0;
  return values.map((value) => (sum += value) / all);
}

/** What is reached at a bucket, up and down. */
function extent(series, index, card) {
  const values = series.map((one) => one.values[index]).filter((value) => value !== null);
  if (isApart(card.mode)) return values;
  if (card.chart.kind !== 'bar') return edges(series, index, card.mode);
  // Bars below zero hang from it, each from the one before.
  const sum = (sign) => values.filter((value) => Math.sign(value) === sign).reduce((all, value) => all + value, 0);
  return [sum(1), sum(-1)];
}

/** The reach of the upright axis over what can be seen. It begins at zero, but for lines whose heights are no amounts. */
function reach(series, card, first, last) {
  if (card.mode === 'share') return [0, 100];
  let [least, most] = [Infinity, -Infinity];
  for (let index = first; index <= last; index += 1) {
    for (const edge of extent(series, index, card)) [least, most] = [Math.min(least, edge), Math.max(most, edge)];
  }
  if (least > most) return [0, 1];
  if (card.chart.kind === 'line' && !card.chart.adds_up) {
    const room = (most - least || Math.abs(most) || 1) * 0.08;
    return [least - room, most + room];
  }
  return [Math.min(0, least) * 1.06, Math.max(0, most) * 1.06 || (least < 0 ? 0 : 1)];
}

/** Where each series is at a bucket: a line where it last had a value, a band or a bar in its middle. */
function middles(series, card, first, at, least) {
  if (isApart(card.mode)) return series.map((one) => one.values.slice(first, at + 1).findLast((value) => value !== null) ?? least);
  const tops = edges(series, at, card.mode);
  if (card.chart.kind !== 'bar' || card.mode === 'share') return tops.map((top, index) => (top + (tops[index - 1] ?? 0)) / 2);
  let [up, down] = [0, 0];
  return series.map((one) => {
    const value = one.values[at] ?? 0;
    return value < 0 ? (down += value) - value / 2 : (up += value) - value / 2;
  });
}

/** Names at the right edge, each at the height of its band, moved apart where they would lie on each other. */
function labels(series, card, view, span, height, wears) {
  const { times } = card.chart;
  const open = card.chart.open_from ?? Infinity;
  // The last closed bucket: the open one is still low.
  let at = view.last;
  while (at > view.first && times[at] >= open) at -= 1;
  const pixel = (value) => ((value - span[0]) / (span[1] - span[0])) * height;
  const heights = middles(series, card, view.first, at, span[0]).map(pixel);
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

/** What all kinds over time have in common: their series, what can be seen, the axes and what lies over them; null without data. */
function frame(card, wears) {
  const { chart, mode } = card;
  const series = chart.series.filter((one) => !card.hidden.has(one.name));
  if (!chart.times.length || !series.length) return null;
  const { width, height } = card.size;
  const view = seen(card);
  const upright = reach(series, card, view.first, view.last);
  const isNamed = chart.dimensions.length > 0 && series.length <= NAMED && mode !== 'group';
  const longest = isNamed ? Math.max(...series.map((one) => [...short(named(one), 10)].length)) : 0;
  const margin = { l: 46, r: 14 + Math.ceil(longest * 7.6), t: 18, b: 26 };
  const marks = ticks(...view.range, Math.max(2, Math.floor((width - margin.l - margin.r) / 92)));
  const over = veil(card, view, wears);
  const names = isNamed ? labels(series, card, view, upright, height - margin.t - margin.b, wears) : [];
  const layout = {
    margin,
    xaxis: {
      range: view.range, tickmode: 'array', tickvals: marks.map((mark) => mark.at), tickangle: 0, ticks: 'outside', ticklen: 4,
      ticktext: marks.map((mark) => (mark.strong ? `<b>${mark.text}</b>` : mark.text)), tickcolor: wears.soft,
      showgrid: false, zeroline: false, showline: true, linecolor: wears.soft,
    },
    yaxis: {
      range: upright, fixedrange: true, gridcolor: wears.line, zeroline: upright[0] < 0 && upright[1] > 0, zerolinecolor: wears.soft,
      nticks: 6, tickformat: Math.max(...upright.map(Math.abs)) < 1000 ? '~g' : '~s', ticksuffix: mode === 'share' ? '%' : '',
    },
    shapes: over.shapes,
    annotations: [...over.annotations, ...names],
  };
  /** The pixels of a bucket. */
  const pixels = (width - margin.l - margin.r) / Math.max(1, (view.range[1] - view.range[0]) / chart.grain);
  return { series, pixels, layout, groups: chart.series, note: over.shapes.length ? 'Lighter: window still open, more may come' : '' };
}

/** A series as a line, with nothing where there is no value: level stretches, or points joined by slopes. */
function path(one, chart) {
  if (!chart.step) return { x: chart.times, y: one.values };
  const [x, y] = [[], []];
  one.values.forEach((value, index) => {
    const from = chart.times[index];
    x.push(from, from + chart.grain);
    y.push(value, value);
  });
  return { x, y };
}

/** Points that no slope leads to are dots. */
function dots(one, chart, color) {
  const { values } = one;
  const isNone = (index) => (values[index] ?? null) === null;
  const isAlone = (value, index) => !chart.step && value !== null && isNone(index - 1) && isNone(index + 1);
  const sizes = values.map((value, index) => (isAlone(value, index) ? 5 : 0));
  return sizes.some(Boolean) ? { mode: 'lines+markers', marker: { size: sizes, color, line: { width: 0 } } } : { mode: 'lines' };
}

function lines(card, wears, drawn) {
  const { chart } = card;
  return drawn.series.map((one) => {
    const color = colorOf(one, wears);
    const line = { shape: 'linear', width: drawn.pixels < 3 ? 1.4 : 2, dash: dashOf(one), color };
    return { type: 'scatter', name: escaped(named(one)), hoverinfo: 'skip', ...path(one, chart), ...dots(one, chart, color), line };
  });
}

/** Lines over time. */
function line(card, wears) {
  const drawn = frame(card, wears);
  return drawn && { ...drawn, traces: lines(card, wears, drawn) };
}

/** Series on series over time, as steps or lines; or beside each other, or as shares of each bucket's sum. */
function area(card, wears) {
  const { chart, mode } = card;
  const drawn = frame(card, wears);
  if (!drawn || mode === 'lines') return drawn && { ...drawn, traces: lines(card, wears, drawn) };
  // The last bucket is a stretch as the others are: its value stands once more at its end.
  const times = chart.step ? [...chart.times, chart.times.at(-1) + chart.grain] : chart.times;
  const traces = drawn.series.map((one) => {
    const color = colorOf(one, wears);
    return {
      type: 'scatter', mode: 'lines', name: escaped(named(one)), hoverinfo: 'skip', x: times,
      y: chart.step ? [...one.values, one.values.at(-1)] : one.values,
      line: { shape: chart.step ? 'hv' : 'linear', width: drawn.pixels < 3 ? 1 : 1.6, dash: dashOf(one), color },
      stackgroup: 'all', groupnorm: mode === 'share' ? 'percent' : '', stackgaps: 'infer zero',
      fillcolor: faded(color, wears.dark ? 0.32 : 0.22),
    };
  });
  return { ...drawn, traces };
}

/** Bars over time: beside each other, on each other, or as shares of each bucket's sum. */
function bar(card, wears) {
  const { chart, mode } = card;
  const drawn = frame(card, wears);
  if (!drawn) return null;
  const { series, pixels } = drawn;
  const filled = chart.grain * (pixels < 3 ? 1 : pixels < 8 ? 0.9 : 0.82);
  const width = mode === 'group' ? filled / series.length : filled;
  const traces = series.map((one, index) => {
    const line = { color: wears.card, width: mode !== 'group' && pixels > 8 ? 1 : 0 };
    return {
      type: 'bar', name: escaped(named(one)), hoverinfo: 'skip', x: chart.times, y: one.values, width,
      offset: (chart.grain - filled) / 2 + (mode === 'group' ? index * width : 0), marker: { color: colorOf(one, wears), line },
    };
  });
  const [first] = latest(card);
  const some = first > card.whole[0] ? `The last ${lasting(card.whole[1] - first)}: more bars would be too thin. ` : '';
  const layout = { ...drawn.layout, barmode: mode === 'group' ? 'group' : 'relative', barnorm: mode === 'share' ? 'percent' : '' };
  return { ...drawn, traces, layout, note: some + drawn.note };
}

/** The share of each group in the whole. */
function pie(card, wears) {
  const slices = [...card.chart.slices].sort((a, b) => (b.value ?? 0) - (a.value ?? 0));
  const shown = slices.filter((slice) => slice.value > 0 && !card.hidden.has(slice.name));
  if (!shown.length) return null;
  const narrow = card.size.width < 280;
  const many = shown.length > NAMED;
  const name = many ? '' : '<b>%{text}</b><br>';
  return {
    traces: [{
      // Plotly adds slices of one label up, so the labels are numbers; the names, which may be shortened, are texts.
      type: 'pie', labels: shown.map((_, index) => index), values: shown.map((slice) => slice.value), sort: false, direction: 'clockwise',
      text: shown.map((slice) => escaped(short(named(slice), narrow ? 7 : 12))), texttemplate: `${name}%{percent:${narrow ? '.1%' : '.2%'}}`,
      textposition: narrow || many ? 'inside' : 'outside', insidetextorientation: 'horizontal', automargin: true,
      insidetextfont: { color: shown.map((slice) => readable(colorOf(slice, wears))) },
      customdata: shown.map((slice) => `${escaped(named(slice))}: ${number(slice.value)}`),
      hovertemplate: '%{customdata[0]} (%{percent:.2%})<extra></extra>',
      marker: { colors: shown.map((slice) => colorOf(slice, wears)), line: { color: wears.card, width: 2 } },
    }],
    // Of many slices the small ones go without a text.
    layout: { margin: { l: 8, r: 8, t: 12, b: 12 }, ...(many ? { uniformtext: { minsize: 10, mode: 'hide' } } : {}) },
    groups: card.chart.slices,
    note: card.chart.adds_up ? `Total ${number(shown.reduce((sum, slice) => sum + slice.value, 0))}` : '',
  };
}

/** One number, as large as its card allows. */
function bigNumber(card) {
  const { value, range } = card.chart;
  const text = number(value);
  const none = range ? `Nothing in the last ${lasting(range)}` : 'No data yet';
  return {
    groups: [],
    note: value === null ? none : '',
    fill(place) {
      place.style.setProperty('--letters', String(Math.max(5, text.length)));
      place.textContent = text;
    },
  };
}

/** A row for each group. */
function table(card) {
  const { title, rows, dimensions, metric, more, others, adds_up: addsUp } = card.chart;
  if (!rows.length) return null;
  const most = Math.max(...rows.map((row) => row.value ?? 0));
  const some = more ? `The first ${number(rows.length)} of ${number(rows.length + more)} groups` : '';
  const rest = others === null ? '' : `${some ? '; ' : ''}${number(others)} in groups too many to tell apart`;
  return {
    groups: [],
    note: some + rest,
    fill(place) {
      place.style.setProperty('--names', String(dimensions.length));
      fill(place, {
        caption: `${title}: ${metric}`,
        heads: [...dimensions.map((name) => ({ name })), { name: metric, isFigure: true }],
        rows: rows.map((row) => [...row.cells.map(worded), number(row.value)]),
        // Amounts can be compared by their length.
        shares: addsUp && most > 0 ? rows.map((row) => Math.max(0, row.value ?? 0) / most) : null,
      });
    },
  };
}
