// The page: the state comes in, its figures, its proof and its charts go onto the page. The charts themselves are in charts.js.

import { show } from './charts.js';
import { clock, count, day, digits, moment, number, period, span } from './format.js';

const root = document.documentElement;
const element = (id) => document.getElementById(id);

/** Silence after which the server is asked whether it is there, and the longest wait for its answer. Milliseconds. */
const SILENCE = 15_000;
const PATIENCE = 5_000;
/** The wait before a connection that the browser gave up is tried again. Milliseconds. */
const AGAIN = 2_000;

let state = null;
let seen = 0; // when the state came
let connection = 'connecting';
let stale = false; // the state is newer than what is on the page

function say(id, text) {
  const node = element(id);
  if (node.textContent !== text) node.textContent = text;
}

function make(name, text = '', className = '') {
  const node = document.createElement(name);
  node.textContent = text;
  if (className) node.className = className;
  return node;
}

// ---- The verdict

const SIGNS = {
  equal: 'M5 12.5l4.5 4.5L19 7.5',
  waiting: 'M12 6v6l4 2.5',
  differs: 'M7 7l10 10M17 7L7 17',
};

const GROUNDS = { equal: '#14713d', waiting: '#8a5a00', differs: '#b3191e' };

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

/** "minute" where all windows of the aggregate are known to be that long, else "window". */
function unit() {
  const sinks = state.sink.split(',').map((sink) => sink.trim());
  const grains = state.charts.filter((chart) => chart.grain && sinks.includes(chart.datasource)).map((chart) => chart.grain);
  return grains.length && sinks.length === 1 && grains.every((grain) => grain === grains[0]) ? period(grains[0]) : 'window';
}

function headline(shown) {
  const differing = state.cells - state.equal;
  if (shown === 'differs') return `${number(differing)} of ${count(state.cells, 'cell')} ${differing === 1 ? 'differs' : 'differ'}`;
  if (shown === 'equal') return `${number(state.equal)} of ${count(state.cells, 'cell')} equal`;
  return state.reading ? 'Reading the history' : 'Waiting for the first row';
}

function meaning(shown) {
  if (shown === 'equal') return `Every closed ${unit()} recomputed from the raw events = the aggregate.`;
  if (shown === 'differs') return 'Recomputed from the raw events, the aggregate should be another. What differs stands below.';
  if (!state.reading) return `Nothing can be judged yet: the first ${unit()} is still open.`;
  const { done, all } = state.reading;
  const equal = state.cells > 0 ? ` So far ${number(state.equal)} of ${count(state.cells, 'cell')} equal.` : '';
  return `${number(done)} of ${count(all, 'record')} read.${equal}`;
}

function icon(shown) {
  const path = `<path d="${SIGNS[shown]}" fill="none" stroke="#fff" stroke-width="3" stroke-linecap="round" stroke-linejoin="round"/>`;
  const image = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><rect width="24" height="24" rx="6" fill="${GROUNDS[shown]}"/>${path}</svg>`;
  return `data:image/svg+xml,${encodeURIComponent(image)}`;
}

/** The tab: its title and its icon. It is kept up in a hidden tab too, where it is all that can be seen. */
function tab() {
  const shown = verdict();
  const word = { equal: '✓ equal', waiting: '… waiting', differs: '✗ differs' }[shown];
  const title = connection === 'lost' ? `⚠ not connected · ${state.title}` : `${word} · ${state.title}`;
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
  say('meaning', meaning(shown));
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

/** One row a measure; what is the same for all measures of a cell stands beside the first. */
function rows(difference, manySinks) {
  const measures = difference.measures.length ? difference.measures : [{ name: '–', raw: null, aggregate: null }];
  return measures.map((measure, index) => {
    const row = make('tr');
    if (index === 0) {
      const window = make('th', moment(difference.window, 0));
      window.scope = 'row';
      const cells = [window, make('td', difference.group), make('td', difference.what, 'what')];
      if (manySinks) cells.splice(1, 0, make('td', difference.sink));
      cells.forEach((cell) => { cell.rowSpan = measures.length; });
      row.append(...cells);
    }
    row.append(make('td', measure.name), make('td', digits(measure.raw), 'figure'), make('td', digits(measure.aggregate), 'figure'));
    return row;
  });
}

function heading(names) {
  const head = make('thead');
  const row = make('tr');
  for (const name of names) {
    const cell = make('th', name, ['Raw', 'Aggregate'].includes(name) ? 'figure' : '');
    cell.scope = 'col';
    row.append(cell);
  }
  head.append(row);
  return head;
}

function differing() {
  const found = state.differences;
  element('differences').hidden = found.length === 0;
  const now = JSON.stringify([found, state.cells - state.equal]);
  if (now === differences) return;
  differences = now;
  const manySinks = state.sink.includes(',');
  const body = make('tbody');
  body.append(...found.flatMap((difference) => rows(difference, manySinks)));
  const names = ['Window from', ...(manySinks ? ['Topic'] : []), 'Group', 'What', 'Measure', 'Raw', 'Aggregate'];
  element('differing').replaceChildren(heading(names), body);
  const all = Math.max(state.cells - state.equal, found.length);
  say('differences-more', all > found.length ? `The first ${number(found.length)} of ${number(all)}.` : '');
  const kinds = Object.keys(MEANING).filter((what) => found.some((difference) => difference.what === what));
  element('kinds').replaceChildren(...kinds.map((what) => {
    const pair = make('div');
    pair.append(make('dt', what), make('dd', MEANING[what]));
    return pair;
  }));
}

// ---- The rest

function names() {
  say('title', state.title);
  say('source', state.source);
  say('sink', state.sink);
  element('demo').hidden = !state.demo;
  say('broker', state.broker);
  say('registry', state.registry);
  say('command', `kcat -C -b ${state.broker} -t ${state.source.split(',')[0].trim()} -o beginning -f '%T  %k  %S bytes\\n'`);
}

function strip() {
  say('events', number(state.events));
  say('rate', number(state.rate));
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
  const words = { connecting: 'connecting', live: 'live', lost: 'not connected' };
  root.dataset.connection = connection;
  say('connection', words[connection]);
  const fresh = state ? ` What stands here is of ${clock(state.now)}.` : '';
  const trouble = connection === 'lost' ? 'The connection to the program is lost. It is tried again by itself.' : state?.trouble;
  root.dataset.fresh = trouble ? 'no' : 'yes';
  element('trouble').hidden = !trouble;
  say('trouble', trouble ? `${trouble.replace(/\.?$/, '.')}${fresh}` : '');
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
