// The page: the state comes in, its figures, its proof and its charts go onto the page. The charts themselves are in charts.js.

import { show } from './charts.js';
import { clock, count, day, digits, number, period, span } from './format.js';
import { make } from './make.js';

const root = document.documentElement;
const element = (id) => document.getElementById(id);

/** Silence after which the server is asked whether it is there, and the longest wait for its answer. Milliseconds. */
const SILENCE = 15_000;
const PATIENCE = 5_000;
/** The wait before a connection that the browser gave up is tried again. Milliseconds. */
const AGAIN = 2_000;

const LOST = 'The connection to the program is lost; it is tried again by itself. What stands here is what was last known.';

let state = null;
let seen = 0; // when the state came
let connection = 'connecting';
let stale = false; // the page shows an older state

function say(id, text) {
  const node = element(id);
  if (node.textContent !== text) node.textContent = text;
}

// ---- The verdict

const SIGNS = {
  equal: 'M5 12.5l4.5 4.5L19 7.5',
  waiting: 'M12 6v6l4 2.5',
  differs: 'M7 7l10 10M17 7L7 17',
};

/** The icon's colours: of the ground and of the sign. */
const COLORS = { equal: ['#14713d', '#ffffff'], waiting: ['#f2b01e', '#2b1d00'], differs: ['#b3191e', '#ffffff'] };

const ANNOUNCED = {
  equal: 'All cells that can be judged are equal.',
  waiting: 'Waiting: nothing is judged yet.',
  differs: 'The aggregate differs from the raw events.',
};

const MEANING = {
  wrong: 'the aggregate has the row, with another value than the raw events give',
  missing: 'the raw events give a row, the aggregate has none',
  extra: 'the aggregate has a row that no raw event accounts for',
  twice: 'the aggregate has more than one row for the window and group',
};

/** The verdict as it is shown: while history is read, what is equal so far proves little. */
function verdict() {
  if (state.verdict === 'equal' && state.reading) return 'waiting';
  return SIGNS[state.verdict] ? state.verdict : 'waiting';
}

/** The length of the aggregate's windows in milliseconds, as far as the charts tell: 0 if they do not. */
function grain() {
  const sinks = state.sink.split(',').map((sink) => sink.trim());
  const grains = state.charts.filter((chart) => chart.grain && sinks.includes(chart.datasource)).map((chart) => chart.grain);
  return sinks.length === 1 && grains.every((one) => one === grains[0]) ? grains[0] ?? 0 : 0;
}

const unit = () => period(grain());

function headline(shown) {
  const differing = state.cells - state.equal;
  if (shown === 'differs') return `${number(differing)} of ${count(state.cells, 'cell')} ${differing === 1 ? 'differs' : 'differ'}`;
  if (shown === 'equal') return `${number(state.equal)} of ${count(state.cells, 'cell')} equal`;
  return state.reading ? 'Reading the history' : 'Waiting for the first row';
}

function meaning(shown) {
  if (shown === 'equal') return `Every closed ${unit()} recomputed from the raw events = the aggregate.`;
  if (shown === 'differs') return 'The aggregate is not what the raw events give. The table below shows where.';
  if (!state.reading) return `Nothing can be judged before the first ${unit()} is closed and its row is there.`;
  const { done, all } = state.reading;
  const equal = state.cells > 0 ? ` So far ${number(state.equal)} of ${count(state.cells, 'cell')} equal.` : '';
  return `${number(done)} of ${count(all, 'record')} read.${equal}`;
}

function icon(shown) {
  const [ground, sign] = COLORS[shown];
  const path = `<path d="${SIGNS[shown]}" fill="none" stroke="${sign}" stroke-width="3" stroke-linecap="round" stroke-linejoin="round"/>`;
  const square = `<rect width="24" height="24" rx="6" fill="${ground}"/>`;
  return `data:image/svg+xml,${encodeURIComponent(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24">${square}${path}</svg>`)}`;
}

/** The tab: its title and its icon. It is kept up in a hidden tab too, where it is all that can be seen. */
function tab() {
  const shown = verdict();
  const word = { equal: '✓ equal', waiting: '… waiting', differs: '✗ differs' }[shown];
  const title = `${connection === 'lost' ? '⚠ not connected' : state.trouble ? '⚠ not fresh' : word} · ${state.title}`;
  if (document.title !== title) document.title = title;
  if (root.dataset.verdict === shown) return;
  root.dataset.verdict = shown;
  element('favicon').href = icon(shown);
  say('announcement', ANNOUNCED[shown]);
}

function proof() {
  const shown = verdict();
  element('sign').setAttribute('d', SIGNS[shown]);
  say('verdict', headline(shown));
  const fresh = root.dataset.fresh === 'yes' ? '' : `As of ${clock(state.now)}: `;
  say('meaning', fresh + meaning(shown));
  say('cells', number(state.cells));
  say('equal', number(state.equal));
  say('waiting', number(state.waiting));
  say('left-out', number(state.left_out));
  element('left-out-too').hidden = !state.left_out;
  element('left-out-too').title = 'Part of their events is no longer in the topic.';
  const bar = element('progress');
  bar.hidden = !state.reading;
  if (state.reading) Object.assign(bar, { max: Math.max(1, state.reading.all), value: state.reading.done });
}

// ---- The differences

let differences = '[]';

/** The time of a window, with the day if it is not today. */
function when(time) {
  return `${day(time) === day(state.now) ? '' : `${day(time)}, `}${clock(time, grain())}`;
}

/** One row a measure; what is the same for all measures of a cell stands beside the first. */
function rows(difference, columns) {
  const measures = difference.measures.length ? difference.measures : [{ name: '–', raw: null, aggregate: null }];
  return measures.map((measure, index) => {
    const row = make('tr');
    if (index === 0) {
      const window = make('th', '', when(difference.window));
      window.scope = 'row';
      const cells = [window, make('td', '', difference.group), make('td', 'what', difference.what)];
      if (columns.sink) cells.splice(1, 0, make('td', '', difference.sink));
      cells.forEach((cell) => { cell.rowSpan = measures.length; });
      row.append(...cells);
    }
    if (columns.measure) row.append(make('td', '', measure.name));
    row.append(make('td', 'figure', digits(measure.raw)), make('td', 'figure', digits(measure.aggregate)));
    return row;
  });
}

function heading(texts) {
  const [head, row] = [make('thead'), make('tr')];
  texts.forEach((text, index) => {
    const cell = make('th', index >= texts.length - 2 ? 'figure' : '', text);
    cell.scope = 'col';
    row.append(cell);
  });
  head.append(row);
  return head;
}

function differing() {
  const found = state.differences;
  element('differences').hidden = found.length === 0;
  const now = JSON.stringify([found, state.cells - state.equal]);
  if (now === differences) return;
  differences = now;
  const measures = [...new Set(found.flatMap((difference) => difference.measures.map((measure) => measure.name)))];
  // A column that says the same in each row is left out.
  const columns = { sink: state.sink.includes(','), measure: measures.length > 1 };
  const body = make('tbody');
  body.append(...found.flatMap((difference) => rows(difference, columns)));
  const texts = ['Window', ...(columns.sink ? ['Topic'] : []), 'Group', 'What', ...(columns.measure ? ['Measure'] : []), 'Raw', 'Aggregate'];
  element('differing').replaceChildren(heading(texts), body);
  const all = Math.max(state.cells - state.equal, found.length);
  say('differences-name', measures.length === 1 ? `What differs in ${measures[0]}` : 'What differs');
  say('differences-more', all > found.length ? `The first ${number(found.length)} of ${number(all)}.` : '');
  const kinds = Object.keys(MEANING).filter((what) => found.some((difference) => difference.what === what));
  element('kinds').replaceChildren(...kinds.map((what) => {
    const pair = make('div');
    pair.append(make('dt', '', what), make('dd', '', MEANING[what]));
    return pair;
  }));
}

// ---- The rest

function names() {
  say('title', state.title);
  say('source', state.source);
  say('sink', state.sink);
  element('arrow').hidden = !state.sink;
  element('demo').hidden = !state.demo;
  say('broker', state.broker);
  say('registry', state.registry);
  say('command', `kcat -C -b ${state.broker} -t ${state.source.split(',')[0].trim()} -o beginning -f '%T %k %S bytes\\n'`);
}

function strip() {
  say('events', number(state.events));
  say('rate', number(Math.round(state.rate * 100) / 100));
  say('open-windows', number(state.open_windows));
  say('late', number(state.late));
  say('dead-letters', number(state.dead_letters));
  for (const id of ['late', 'dead-letters']) element(id).parentElement.classList.toggle('some', element(id).textContent !== '0');
  const now = state.now;
  const at = state.watermark;
  say('watermark', at === null ? '–' : day(at) === day(now) ? clock(at) : `${day(at)}, ${clock(at)}`);
  behind();
}

/** How far the watermark is behind. It grows while nothing comes, so the time since the state came is added. */
function behind() {
  if (!state || document.hidden) return;
  const at = state.watermark;
  const passed = connection === 'live' ? performance.now() - seen : 0;
  say('behind', at === null ? 'no event yet' : `${span(state.now - at + passed)} behind`);
}

function notices() {
  const words = { connecting: 'connecting', live: 'live', lost: 'offline' };
  root.dataset.connection = connection;
  say('connection', words[connection]);
  const trouble = connection === 'lost' ? LOST : state?.trouble;
  root.dataset.fresh = trouble ? 'no' : 'yes';
  element('trouble').hidden = !trouble;
  say('trouble', trouble ?? '');
}

function draw() {
  notices();
  if (!state) return;
  tab();
  if (document.hidden) {
    stale = true;
    return;
  }
  stale = false;
  names();
  proof();
  differing();
  strip();
  show(state.charts);
}

// ---- The connection

function take(text) {
  state = JSON.parse(text);
  seen = performance.now();
  connection = 'live';
  draw();
}

function lost() {
  if (connection === 'lost') return;
  connection = 'lost';
  draw();
}

async function ask() {
  const answer = await fetch('state', { cache: 'no-store', signal: AbortSignal.timeout(PATIENCE) });
  if (!answer.ok) throw new Error(`state: ${answer.status}`);
  return answer.text();
}

function listen() {
  const events = new EventSource('events');
  events.addEventListener('state', (event) => take(event.data));
  events.addEventListener('open', () => { if (connection === 'lost') ask().then(take, lost); });
  events.addEventListener('error', () => {
    lost();
    if (events.readyState === EventSource.CLOSED) setTimeout(listen, AGAIN);
  });
}

/** Nothing came for a while: either nothing changed, or the other end is gone without a word. */
function watch() {
  if (document.hidden || connection !== 'live' || performance.now() - seen < SILENCE) return;
  seen = performance.now();
  ask().then(take, lost);
}

function copy() {
  const done = () => { say('copy', 'Copied'); setTimeout(() => say('copy', 'Copy'), 2000); };
  const select = () => window.getSelection().selectAllChildren(element('command'));
  // Without a secure address (localhost is one) there is no clipboard: then the text is selected, to be copied by hand.
  if (navigator.clipboard) navigator.clipboard.writeText(element('command').textContent).then(done, select);
  else select();
}

element('copy').addEventListener('click', copy);
say('zone', ` (${Intl.DateTimeFormat().resolvedOptions().timeZone})`);
document.addEventListener('visibilitychange', () => { if (!document.hidden && stale) draw(); });
setInterval(() => { behind(); watch(); }, 1000);
ask().then((text) => { if (!state) take(text); }, () => { if (!state) lost(); });
listen();
