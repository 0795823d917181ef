// The charts: a card each, laid out as the dashboard is, drawn by Plotly. What each kind draws is in kinds.js.

import { clock, day, lasting, moment, named, number, period } from './format.js';
import { KINDS, MODES, NAMED, PLAIN, colorOf, level, modeOf, seen, theme } from './kinds.js';
import { make } from './make.js';
import { table } from './table.js';

const root = document.documentElement;
const board = document.getElementById('charts');

/** Plotly's own controls are off: the page has its own, which the keyboard reaches too. */
const CONFIG = { displayModeBar: false, showTips: false, responsive: false, doubleClick: false, showAxisDragHandles: false };

/** The cards on the page, and the layout that they were made for. */
let cards = [];
let layout = '';

// ---- A card

function segments(card) {
  const box = make('div', 'segments');
  box.setAttribute('role', 'group');
  box.setAttribute('aria-label', 'How the series are drawn');
  for (const [mode, name] of Object.entries(MODES[card.chart.kind])) {
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

/** The place that the chart is drawn in: a picture, a table to scroll, or a large figure. */
function stage(card, name) {
  const { chart } = card;
  card.stage = make('div', 'stage');
  card.plot = make('div', chart.kind === 'big-number' ? 'number' : chart.kind === 'table' ? 'scroll' : 'plot');
  if (chart.kind === 'table') scrolls(card.plot, name);
  else if (!PLAIN.includes(chart.kind)) card.plot.setAttribute('role', 'img');
  card.message = make('p', 'message');
  card.stage.append(card.plot, card.message);
  if (!chart.times) return;
  card.readout = make('div', 'readout');
  card.band = make('div', 'band');
  card.reset = make('button', 'button reset', 'Whole time');
  card.reset.type = 'button';
  card.reset.addEventListener('click', () => zoom(card, null));
  card.stage.append(card.band, card.readout, card.reset);
  point(card);
}

/** Something that scrolls must be reached by the keyboard. */
function scrolls(place, name) {
  place.tabIndex = 0;
  place.setAttribute('role', 'region');
  place.setAttribute('aria-label', name);
}

/** The table behind a chart. */
function behind(card) {
  card.table = make('details', 'table');
  const rows = make('div', 'scroll');
  scrolls(rows, `${card.chart.title}, data`);
  card.table.append(make('summary', '', 'Data as a table'), rows);
  card.table.addEventListener('toggle', () => table(card));
  return card.table;
}

function build(chart, index) {
  // What the reader chose, then what was drawn and where the readout stands.
  const card = { chart, mode: modeOf(chart), zoom: null, hidden: new Set(), drawn: '', at: null };
  card.box = make('section', 'card chart');
  card.box.dataset.kind = chart.kind;
  const name = make('h3', '', chart.title);
  name.id = `chart-${index}`;
  card.box.setAttribute('aria-labelledby', name.id);
  card.head = make('div', 'head');
  card.metric = make('p', 'metric');
  card.head.append(name);
  if (chart.kind !== 'big-number') card.head.append(card.metric);
  // Only what adds up can be stacked or shared.
  if (MODES[chart.kind] && chart.adds_up && chart.dimensions.length) card.head.append(segments(card));
  stage(card, `${chart.title}, table`);
  if (chart.kind === 'big-number') card.stage.append(card.metric);
  card.legend = make('ul', 'legend');
  card.note = make('p', 'note');
  card.foot = make('div', 'under');
  card.foot.append(card.legend, card.note);
  if (!PLAIN.includes(chart.kind) && !chart.why) card.foot.append(behind(card));
  card.box.append(card.head, card.stage, card.foot);
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
  const names = chart.dimensions.length ? `, by ${chart.series.slice(0, NAMED).map(named).join(', ')}` : '';
  const each = period(chart.grain) === 'window' ? lasting(chart.grain) : period(chart.grain);
  const [from, to] = range.map((time) => moment(time, chart.grain));
  return `${chart.title}: ${chart.metric} for each ${each} from ${from} to ${to}${names}. `
    + 'The table below has the figures; the arrow keys show single ones.';
}

function heads(card, figure) {
  const { chart } = card;
  const range = chart.range ? `, last ${lasting(chart.range)}` : '';
  card.metric.title = card.metric.textContent = `${chart.metric} of ${chart.datasource}${range}`;
  for (const button of card.head.querySelectorAll('[data-mode]')) {
    button.setAttribute('aria-pressed', String(button.dataset.mode === card.mode));
  }
  if (card.reset) card.reset.hidden = !card.zoom;
  card.note.textContent = figure?.note ?? '';
  if (card.plot.getAttribute('role') === 'img') card.plot.setAttribute('aria-label', describe(card));
}

function missing(card) {
  const { chart } = card;
  if (chart.why) return `This page cannot draw this chart: ${chart.why}.`;
  if (!KINDS[chart.kind]) return `This page cannot draw "${chart.kind}" charts yet. Its data is in the table.`;
  if (!window.Plotly && !PLAIN.includes(chart.kind)) {
    return window.plotlyFailed ? 'The chart library did not load. The data is in the table.' : 'Loading';
  }
  if (card.hidden.size) return 'All groups are hidden.';
  return chart.range ? `Nothing in the last ${lasting(chart.range)}.` : 'No data yet.';
}

function draw(card) {
  const { chart } = card;
  const wears = theme();
  card.size = { width: card.plot.clientWidth, height: card.plot.clientHeight };
  card.whole = chart.times?.length ? whole(chart) : null;
  const { mode, size, whole: time } = card;
  const key = JSON.stringify([chart, mode, card.zoom, [...card.hidden], size, time, wears.card, Boolean(window.Plotly)]);
  if (key === card.drawn || !size.width) return;
  card.drawn = key;
  const kind = KINDS[chart.kind];
  const figure = kind ? kind(card, wears) : null;
  const drawable = Boolean(figure && (figure.fill || window.Plotly));
  card.message.textContent = drawable ? '' : missing(card);
  card.plot.style.visibility = drawable ? '' : 'hidden';
  card.figure = drawable ? figure : null;
  if (figure?.fill) figure.fill(card.plot);
  else if (drawable) react(card, figure, wears);
  heads(card, figure);
  legend(card, chart.dimensions.length ? figure?.groups ?? chart.series ?? chart.slices ?? [] : [], wears);
  table(card);
  if (card.readout) read(card);
  root.dataset.drawn = String(cards.filter((one) => one.figure).length);
}

function react(card, figure, wears) {
  // With a finger, moving across the chart scrolls the page.
  const dragmode = window.matchMedia('(pointer: coarse)').matches ? false : 'zoom';
  window.Plotly.react(card.plot, figure.traces, {
    ...card.size, dragmode, hovermode: figure.layout.xaxis ? false : 'closest', showlegend: false, separators: '.\u202f',
    paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)', font: { family: wears.font, size: 12, color: wears.soft },
    hoverlabel: { bgcolor: wears.card, bordercolor: wears.line, font: { color: wears.text, size: 13 } }, ...figure.layout,
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
    const pointed = axis.p2c(inside) + (level(card.chart) ? 0 : card.chart.grain / 2);
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
  const until = level(chart) ? ` – ${chart.grain < 86_400_000 ? clock(from + chart.grain, chart.grain) : day(from + chart.grain)}` : '';
  const series = chart.series.filter((one) => !card.hidden.has(one.name)).reverse();
  const sum = series.reduce((all, one) => all + (one.values[at] ?? 0), 0);
  const share = (value) => (card.mode === 'share' && sum && value !== null ? ` (${((value / sum) * 100).toFixed(1)}%)` : '');
  const most = series.length > NAMED ? [...series].sort((a, b) => (b.values[at] ?? 0) - (a.values[at] ?? 0)).slice(0, NAMED) : series;
  const lines = most.map((one) => line(named(one), number(one.values[at]) + share(one.values[at]), colorOf(one, wears)));
  if (series.length > most.length) lines.push(line(`and ${series.length - most.length} more`, '', ''));
  const when = make('p', 'when', `${moment(from, chart.grain)}${until}${open ? ' · open' : ''}`);
  card.readout.replaceChildren(when, ...lines, ...(chart.adds_up && chart.dimensions.length ? [line('Total', number(sum), '')] : []));
  place(card, axis, from);
}

/** The band over the bucket, and the readout beside it, on the side that has room. */
function place(card, axis, from) {
  const left = axis._offset + Math.max(0, axis.c2p(from));
  const right = axis._offset + Math.min(axis._length, axis.c2p(from + (level(card.chart) ? card.chart.grain : 0)));
  const size = card.plot._fullLayout._size;
  Object.assign(card.band.style, { left: `${left}px`, width: `${Math.max(1, right - left)}px`, top: `${size.t}px`, height: `${size.h}px` });
  const width = card.readout.offsetWidth;
  const beside = right + 10 + width < card.size.width ? right + 10 : left - 10 - width;
  card.readout.style.left = `${Math.max(0, Math.min(beside, card.size.width - width))}px`;
}

// ---- The board

/** From the first to the last time of all charts with this grain and range: the same minutes stand under each other. */
function whole({ grain, range }) {
  const isAlike = (chart) => chart.times?.length && chart.grain === grain && chart.range === range;
  const alike = cards.map((card) => card.chart).filter(isAlike);
  const ends = alike.map((chart) => chart.times.at(-1) + (level(chart) ? grain : 0));
  return [Math.min(...alike.map((chart) => chart.times[0])), Math.max(...ends)];
}

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
    if (!KINDS[card.chart.kind] && card.table) card.table.open = true;
  });
  board.replaceChildren(...cards.map((card) => card.box));
  cards.forEach((card) => sizes.observe(card.stage));
}

const sizes = new ResizeObserver(() => requestAnimationFrame(() => cards.forEach(draw)));

/** Puts the charts of a state onto the page. The cards stay as long as the dashboard has the same ones. */
export function show(charts) {
  const now = JSON.stringify(charts.map((chart) => [chart.title, chart.kind, chart.row, chart.width, chart.dimensions, chart.adds_up]));
  if (now !== layout) {
    layout = now;
    rebuild(charts);
  }
  for (const chart of charts) {
    for (const group of chart.series ?? chart.slices ?? []) group.of = chart.dimensions.join(', ');
  }
  cards.forEach((card, index) => { card.chart = charts[index]; });
  cards.forEach(draw);
}

root.addEventListener('theme', () => cards.forEach(draw));
const library = document.getElementById('plotly');
library.addEventListener('load', () => cards.forEach(draw));
library.addEventListener('error', () => {
  window.plotlyFailed = true;
  cards.forEach((card) => { card.drawn = ''; if (card.table) card.table.open = true; draw(card); });
});
