// The table behind a chart.

import { moment, number } from './format.js';
import { named } from './kinds.js';
import { make } from './make.js';

/** The most rows of a table. */
const ROWS = 60;

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
export function table(card) {
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
