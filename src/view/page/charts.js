// The charts: a card each, laid out as the dashboard is, drawn by Plotly. Another kind of chart is one more function in KINDS.

import { clock, day, escaped, faded, moment, number, period, short, span, ticks, visible } from './format.js';

const root = document.documentElement;
const board = document.getElementById('charts');

/** Colours that people who see colours otherwise can tell apart (Okabe and Ito), for groups that the dashboard gives none. */
const PALETTE = ['#0072B2', '#E69F00', '#009E73', '#CC79A7', '#56B4E9', '#D55E00', '#F0E442', '#6B6B6B'];
/** The most rows of a chart's table, and the most series that the readout and the labels at the edge name. */
const ROWS = 60;
const NAMED = 12;
const MODES = { lines: 'Lines', stack: 'Stack', share: 'Share' };

const CONFIG = { displayModeBar: false, showTips: false, responsive: false, doubleClick: false, showAxisDragHandles: false, scrollZoom: false };

const KINDS = { area, pie };

/** The cards on the page, and the layout that they were made for. */
let cards = [];
let layout = '';
/** The place in the palette of each group without a colour: the same in all charts. */
const places = new Map();

function make(name, className = '', text = '') {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (text) node.textContent = text;
  return node;
}

/** The page's colours, of the theme that it wears. */
function theme() {
  const style = getComputedStyle(root);
  const color = (name) => style.getPropertyValue(name).trim();
  return {
    card: color('--card'), text: color('--text'), soft: color('--soft'), line: color('--line'), font: style.fontFamily,
    dark: root.dataset.theme === 'dark',
  };
}

function colorOf(group, wears) {
  if (group.color) return wears.dark ? visible(group.color, wears.card) : group.color;
  if (!places.has(group.name)) places.set(group.name, places.size % PALETTE.length);
  return visible(PALETTE[places.get(group.name)], wears.card);
}

// ---- Kinds: from a chart to what Plotly draws

const named = (group) => (group.name === '' ? '(empty)' : group.name);

/** From the first to the last time of all charts with this grain: the same minutes stand under each other. */
function whole(grain) {
  const alike = cards.map((card) => card.chart).filter((chart) => chart.times?.length && chart.grain === grain);
  const ends = alike.map((chart) => chart.times.at(-1) + (chart.step ? grain : 0));
  return [Math.min(...alike.map((chart) => chart.times[0])), Math.max(...ends)];
}

/** The time and the buckets that can be seen: all, or what the reader zoomed to. */
function seen(card) {
  const { times, grain } = card.chart;
  const [begin, end] = whole(grain);
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
    const stacked = { stackgroup: 'all', groupnorm: mode === 'share' ? 'percent' : '', stackgaps: 'infer zero', fillcolor: faded(color, wears.dark ? 0.32 : 0.22) };
    return {
      type: 'scatter', mode: 'lines', name: escaped(named(one)), hoverinfo: 'skip', x: times,
      y: chart.step ? [...one.values, one.values.at(-1)] : one.values,
      line: { shape: chart.step ? 'hv' : 'linear', width: stroke, color },
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
        range: view.range, tickvals: marks.map((mark) => mark.at), tickmode: 'array', showgrid: false, zeroline: false, ticks: 'outside', ticklen: 4,
        ticktext: marks.map((mark) => (mark.strong ? `<b>${mark.text}</b>` : mark.text)), tickcolor: wears.soft, linecolor: wears.soft,
        showline: true, tickangle: 0,
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
      customdata: shown.map((slice) => `${escaped(named(slice))}: ${number(slice.value)}`),
      hovertemplate: '%{customdata[0]} (%{percent:.2%})<extra></extra>',
      marker: { colors: shown.map((slice) => colorOf(slice, wears)), line: { color: wears.card, width: 2 } },
    }],
    layout: { margin: { l: 8, r: 8, t: 12, b: 12 } },
    groups: card.chart.slices,
    note: `Total ${number(shown.reduce((sum, slice) => sum + slice.value, 0))}`,
  };
}

// ---- A card

function segments(card) {
  const box = make('div', 'segments');
  box.setAttribute('role', 'group');
  box.setAttribute('aria-label', 'How the series are drawn');
  for (const [mode, name] of Object.entries(MODES)) {
    const button = make('button', '', name);
    button.type = 'button';
    button.addEventListener('click', () => {
      card.mode = mode;
      draw(card);
    });
    button.dataset.mode = mode;
    box.append(button);
  }
  return box;
}

function build(chart, index) {
  const card = { chart, mode: chart.stack ? 'stack' : 'lines', zoom: null, hidden: new Set(), size: { width: 0, height: 0 }, drawn: '', at: null };
  card.box = make('section', `card chart ${chart.kind === 'pie' ? 'pie' : ''}`);
  const name = make('h3', '', chart.title);
  name.id = `chart-${index}`;
  card.box.setAttribute('aria-labelledby', name.id);
  card.head = make('div', 'head');
  card.head.append(name, make('p', 'metric'));
  if (chart.kind === 'area') card.head.append(segments(card));
  card.reset = make('button', 'button reset', 'Whole time');
  card.reset.type = 'button';
  card.reset.addEventListener('click', () => zoom(card, null));
  card.stage = make('div', 'stage');
  card.plot = make('div', 'plot');
  card.plot.setAttribute('role', 'img');
  card.message = make('p', 'message');
  card.readout = make('div', 'readout');
  card.band = make('div', 'band');
  card.stage.append(card.plot, card.message, card.band, card.readout, card.reset);
  card.legend = make('ul', 'legend');
  card.note = make('p', 'note');
  card.table = make('details', 'table');
  const rows = make('div', 'scroll');
  rows.tabIndex = 0;
  rows.setAttribute('role', 'region');
  rows.setAttribute('aria-label', `${chart.title}, data`);
  card.table.append(make('summary', '', 'Data as a table'), rows);
  card.table.addEventListener('toggle', () => table(card));
  card.foot = make('div', 'under');
  card.foot.append(card.legend, card.note, card.table);
  card.box.append(card.head, card.stage, card.foot);
  if (chart.times) point(card);
  return card;
}

function zoom(card, range) {
  card.zoom = range;
  draw(card);
}

/** A button for each group, which hides and shows it. Kept while the groups are the same, so that the focus stays. */
function legend(card, groups, wears) {
  const key = JSON.stringify(groups.map((group) => group.name));
  if (card.legend.dataset.key !== key) {
    card.legend.dataset.key = key;
    card.legend.replaceChildren(...groups.map((group) => {
      const [item, button] = [make('li'), make('button')];
      button.type = 'button';
      button.title = `Hide or show ${named(group)}`;
      button.append(make('span', 'swatch'), make('span', 'name', named(group)), make('span', 'value'));
      button.addEventListener('click', () => {
        if (!card.hidden.delete(group.name)) card.hidden.add(group.name);
        draw(card);
      });
      item.append(button);
      return item;
    }));
  }
  groups.forEach((group, index) => {
    const button = card.legend.children[index].firstChild;
    button.setAttribute('aria-pressed', String(!card.hidden.has(group.name)));
    button.children[0].style.background = colorOf(group, wears);
    button.children[2].textContent = group.value === undefined ? '' : number(group.value);
  });
}

/** What the chart shows, for those who cannot see it. */
function describe(card) {
  const { chart } = card;
  if (!chart.times?.length) return `${chart.title}: ${chart.metric}. The table below has the figures.`;
  const { range } = seen(card);
  const names = chart.series.slice(0, NAMED).map(named).join(', ');
  const each = period(chart.grain) === 'window' ? span(chart.grain) : period(chart.grain);
  return `${chart.title}: ${chart.metric} for each ${each} from ${moment(range[0], chart.grain)} to ${moment(range[1], chart.grain)}, by ${names}. `
    + 'The table below has the figures; the arrow keys show single ones.';
}

function heads(card, figure) {
  const { chart } = card;
  card.head.querySelector('.metric').textContent = `${chart.metric ?? ''}${chart.datasource ? ` of ${chart.datasource}` : ''}`;
  for (const button of card.head.querySelectorAll('[data-mode]')) button.setAttribute('aria-pressed', String(button.dataset.mode === card.mode));
  card.reset.hidden = !card.zoom;
  card.note.textContent = figure?.note ?? '';
  card.plot.setAttribute('aria-label', describe(card));
}

function missing(card) {
  const { chart } = card;
  if (!KINDS[chart.kind]) return `This page cannot draw "${chart.kind}" charts yet. Its data is in the table.`;
  if (!window.Plotly) return window.plotlyFailed ? 'The chart library did not load. The data is in the table.' : 'Loading';
  return card.hidden.size ? 'All groups are hidden.' : 'No data yet.';
}

function draw(card) {
  const { chart } = card;
  const wears = theme();
  card.size = { width: card.plot.clientWidth, height: card.plot.clientHeight };
  const key = JSON.stringify([chart, card.mode, card.zoom, [...card.hidden], card.size, wears.card, Boolean(window.Plotly), chart.times?.length ? whole(chart.grain) : 0]);
  if (key === card.drawn || !card.size.width) return;
  card.drawn = key;
  const kind = KINDS[chart.kind];
  const figure = kind ? kind(card, wears) : null;
  const drawable = Boolean(figure && window.Plotly);
  card.message.textContent = drawable ? '' : missing(card);
  card.plot.style.visibility = drawable ? '' : 'hidden';
  card.figure = drawable ? figure : null;
  if (drawable) react(card, figure, wears);
  heads(card, figure);
  legend(card, figure?.groups ?? chart.series ?? chart.slices ?? [], wears);
  table(card);
  read(card);
  root.dataset.drawn = String(cards.filter((one) => one.figure).length);
}

function react(card, figure, wears) {
  const coarse = window.matchMedia('(pointer: coarse)').matches;
  window.Plotly.react(card.plot, figure.traces, {
    ...card.size, paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)', showlegend: false, separators: '.\u202f',
    // With a finger, moving across the chart scrolls the page.
    dragmode: coarse ? false : 'zoom', hovermode: figure.layout.xaxis ? false : 'closest', font: { family: wears.font, size: 12, color: wears.soft },
    hoverlabel: { bgcolor: wears.card, bordercolor: wears.line, font: { color: wears.text, size: 13 } }, transition: { duration: 0 }, ...figure.layout,
  }, CONFIG);
  if (card.listens) return;
  card.listens = true;
  card.plot.on('plotly_relayout', (change) => {
    const [from, to] = [change['xaxis.range[0]'], change['xaxis.range[1]']];
    if (from !== undefined && to - from >= card.chart.grain) zoom(card, [from, to]);
    else if (from !== undefined) { card.drawn = ''; draw(card); }
  });
  card.plot.on('plotly_doubleclick', () => zoom(card, null));
}

// ---- The readout: all series of a bucket and their sum, under the pointer or by the arrow keys

function point(card) {
  card.plot.tabIndex = 0;
  const at = (event) => {
    const axis = card.plot._fullLayout?.xaxis;
    const inside = axis && event.clientX - card.plot.getBoundingClientRect().left - axis._offset;
    if (!axis || inside < 0 || inside > axis._length) return null;
    const pointed = axis.p2c(inside) + (card.chart.step ? 0 : card.chart.grain / 2);
    return card.chart.times.findLast((time) => time <= pointed && pointed < time + card.chart.grain) ?? null;
  };
  card.stage.addEventListener('pointermove', (event) => { card.at = at(event); read(card); });
  card.stage.addEventListener('pointerdown', (event) => { card.at = at(event); read(card); });
  card.stage.addEventListener('pointerleave', () => { card.at = null; read(card); });
  card.plot.addEventListener('blur', () => { card.at = null; read(card); });
  card.plot.addEventListener('keydown', (event) => {
    if (!card.figure) return;
    const { first, last } = seen(card);
    const { times } = card.chart;
    const now = card.at === null ? last + 1 : times.indexOf(card.at);
    const to = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: first, End: last, Escape: null }[event.key];
    if (to === undefined) return;
    card.at = to === null ? null : times[Math.min(last, Math.max(first, to))];
    event.preventDefault();
    read(card);
  });
}

function line(name, value, color) {
  const row = make('div', color ? '' : 'sum');
  const swatch = make('span', 'swatch');
  if (color) swatch.style.background = color;
  row.append(swatch, make('span', 'name', name), make('span', 'value', value));
  return row;
}

function read(card) {
  const { chart } = card;
  const axis = card.plot._fullLayout?.xaxis;
  // The bucket is kept by its time: its place changes when older ones go.
  const at = card.at === null ? -1 : chart.times.indexOf(card.at);
  const shown = card.figure && axis && at >= 0;
  card.readout.hidden = card.band.hidden = !shown;
  if (!shown) return;
  const wears = theme();
  const from = chart.times[at];
  const open = chart.open_from !== null && chart.open_from !== undefined && from >= chart.open_from;
  const until = chart.step ? ` – ${chart.grain < 86_400_000 ? clock(from + chart.grain, chart.grain) : day(from + chart.grain)}` : '';
  const series = chart.series.filter((one) => !card.hidden.has(one.name)).reverse();
  const sum = series.reduce((all, one) => all + (one.values[at] ?? 0), 0);
  const share = (value) => (card.mode === 'share' && sum && value !== null ? ` (${((value / sum) * 100).toFixed(1)}%)` : '');
  const most = series.length > NAMED ? [...series].sort((a, b) => (b.values[at] ?? 0) - (a.values[at] ?? 0)).slice(0, NAMED) : series;
  const lines = most.map((one) => line(named(one), number(one.values[at]) + share(one.values[at]), colorOf(one, wears)));
  if (series.length > most.length) lines.push(line(`and ${series.length - most.length} more`, '', ''));
  card.readout.replaceChildren(make('p', 'when', `${moment(from, chart.grain)}${until}${open ? ' · open' : ''}`), ...lines, line('Total', number(sum), ''));
  place(card, axis, from);
}

/** The band over the bucket, and the readout beside it, on the side that has room. */
function place(card, axis, from) {
  const left = axis._offset + Math.max(0, axis.c2p(from));
  const right = axis._offset + Math.min(axis._length, axis.c2p(from + (card.chart.step ? card.chart.grain : 0)));
  const size = card.plot._fullLayout._size;
  Object.assign(card.band.style, { left: `${left}px`, width: `${Math.max(1, right - left)}px`, top: `${size.t}px`, height: `${size.h}px` });
  const width = card.readout.offsetWidth;
  const beside = right + 10 + width < card.size.width ? right + 10 : left - 10 - width;
  card.readout.style.left = `${Math.max(0, Math.min(beside, card.size.width - width))}px`;
}

// ---- The table behind a chart

function rowsOf(card) {
  const { chart } = card;
  if (!chart.times) {
    const all = chart.slices.reduce((sum, slice) => sum + (slice.value ?? 0), 0);
    const slices = [...chart.slices].sort((a, b) => (b.value ?? 0) - (a.value ?? 0)).slice(0, ROWS);
    return {
      names: ['Group', chart.metric ?? 'Value', 'Share'],
      rows: slices.map((slice) => [named(slice), number(slice.value), all ? `${((slice.value / all) * 100).toFixed(2)}%` : '–']),
    };
  }
  const open = chart.open_from ?? Infinity;
  const last = chart.times.length - 1;
  const rows = chart.times.slice(-ROWS).map((_, back) => {
    const at = last - back;
    const values = chart.series.map((one) => one.values[at]);
    const when = `${moment(chart.times[at], chart.grain)}${chart.times[at] >= open ? ' (open)' : ''}`;
    return [when, ...values.map(number), number(values.reduce((sum, value) => sum + (value ?? 0), 0))];
  });
  return { names: ['From', ...chart.series.map(named), 'Total'], rows };
}

function row(texts, name, scope) {
  const line = make('tr');
  texts.forEach((text, index) => {
    const cell = make(index && name === 'td' ? 'td' : 'th', index ? 'figure' : '', String(text));
    if (cell.tagName === 'TH') cell.scope = scope;
    line.append(cell);
  });
  return line;
}

/** Kept up with the data, but only while it is open. Cells stay, so that the place scrolled to and what is selected do too. */
function table(card) {
  const place = card.table.querySelector('.scroll');
  if (!card.table.open) {
    place.replaceChildren();
    return;
  }
  if (!card.chart.times && !card.chart.slices) {
    place.replaceChildren(make('p', '', 'No data that this page can read.'));
    return;
  }
  const { names, rows } = rowsOf(card);
  const shape = JSON.stringify([names, rows.length]);
  if (place.dataset.shape !== shape || !place.firstChild) {
    place.dataset.shape = shape;
    const [whole, head, body] = [make('table'), make('thead'), make('tbody')];
    whole.append(make('caption', 'unseen', card.chart.title), head, body);
    head.append(row(names, 'th', 'col'));
    body.append(...rows.map((texts) => row(texts, 'td', 'row')));
    place.replaceChildren(whole);
  }
  const { rows: lines } = place.querySelector('tbody');
  rows.forEach((texts, line) => texts.forEach((text, column) => {
    const cell = lines[line].cells[column];
    if (cell.textContent !== text) cell.textContent = text;
  }));
}

// ---- The board

function rebuild(charts) {
  cards.forEach((card) => { sizes.unobserve(card.stage); window.Plotly?.purge(card.plot); });
  cards = charts.map(build);
  const filled = new Map();
  cards.forEach((card) => {
    const { row: line, width } = card.chart;
    const from = filled.get(line) ?? 1;
    filled.set(line, from + width);
    card.box.style.setProperty('--row', String(line + 1));
    card.box.style.setProperty('--column', `${from} / span ${width}`);
    if (!KINDS[card.chart.kind]) card.table.open = true;
  });
  board.replaceChildren(...cards.map((card) => card.box));
  cards.forEach((card) => sizes.observe(card.stage));
}

const sizes = new ResizeObserver(() => requestAnimationFrame(() => cards.forEach(draw)));

/** Puts the charts of a state onto the page. The cards stay as long as the dashboard has the same ones. */
export function show(charts) {
  const now = JSON.stringify(charts.map(({ title, kind, row: line, width }) => [title, kind, line, width]));
  if (now !== layout) {
    layout = now;
    rebuild(charts);
  }
  cards.forEach((card, index) => { card.chart = charts[index]; });
  cards.forEach(draw);
}

root.addEventListener('theme', () => cards.forEach(draw));
const library = document.getElementById('plotly');
library.addEventListener('load', () => cards.forEach(draw));
library.addEventListener('error', () => {
  window.plotlyFailed = true;
  cards.forEach((card) => { card.drawn = ''; card.table.open = true; draw(card); });
});
