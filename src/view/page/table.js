// Tables: the data behind a chart, and how any table is kept up.

import { moment, named, number } from './format.js';
import { make } from './make.js';

/** The most rows of a table behind a chart. */
const ROWS = 60;

/** The data behind a chart. */
function rowsOf({ chart }) {
  const figures = (names) => names.map((name) => ({ name, isFigure: true }));
  if (!chart.times) {
    const all = chart.slices.reduce((sum, slice) => sum + (slice.value ?? 0), 0);
    const slices = [...chart.slices].sort((a, b) => (b.value ?? 0) - (a.value ?? 0)).slice(0, ROWS);
    return {
      heads: [{ name: chart.dimensions.join(', ') || 'Group' }, ...figures([chart.metric ?? 'Value', 'Share'])],
      rows: slices.map((slice) => [named(slice), number(slice.value), all ? `${((slice.value / all) * 100).toFixed(2)}%` : '–']),
    };
  }
  const open = chart.open_from ?? Infinity;
  const last = chart.times.length - 1;
  const isSummed = chart.adds_up && chart.dimensions.length > 0;
  const rows = chart.times.slice(-ROWS).map((_, back) => {
    const at = last - back;
    const values = chart.series.map((one) => one.values[at]);
    const when = `${moment(chart.times[at], chart.grain)}${chart.times[at] >= open ? ' (open)' : ''}`;
    return [when, ...values.map(number), ...(isSummed ? [number(values.reduce((sum, value) => sum + (value ?? 0), 0))] : [])];
  });
  return { heads: [{ name: 'From' }, ...figures([...chart.series.map(named), ...(isSummed ? ['Total'] : [])])], rows };
}

function row(texts, heads, isHead) {
  const line = make('tr');
  texts.forEach((text, index) => {
    const cell = make(isHead || !index ? 'th' : 'td', heads[index].isFigure ? 'figure' : '', text);
    if (cell.tagName === 'TH') cell.scope = isHead ? 'col' : 'row';
    line.append(cell);
  });
  return line;
}

/**
 * Puts a table into a place: its columns are `heads`, its rows texts; `shares`, if there are any, are drawn behind the last cell of
 * each row. Cells stay, so that the place scrolled to and what is selected do too.
 */
export function fill(place, { caption, heads, rows, shares }) {
  const shape = JSON.stringify([caption, heads, rows.length]);
  if (place.dataset.shape !== shape || !place.firstChild) {
    place.dataset.shape = shape;
    const [whole, head, body] = [make('table'), make('thead'), make('tbody')];
    whole.append(make('caption', 'unseen', caption), head, body);
    // A long name may be broken where its words end.
    head.append(row(heads.map((one) => one.name.replaceAll('_', '_\u200b')), heads, true));
    body.append(...rows.map((texts) => row(texts, heads, false)));
    place.replaceChildren(whole);
  }
  const { rows: lines } = place.querySelector('tbody');
  rows.forEach((texts, line) => {
    texts.forEach((text, column) => {
      const cell = lines[line].cells[column];
      if (cell.textContent !== text) cell.textContent = text;
    });
    lines[line].lastChild.style.setProperty('--share', `${(100 * (shares?.[line] ?? 0)).toFixed(1)}%`);
  });
}

/** The table behind a chart: kept up with the data, but only while it is open. */
export function table(card) {
  if (!card.table) return;
  const place = card.table.querySelector('.scroll');
  if (!card.table.open) place.replaceChildren();
  else if (!card.chart.times && !card.chart.slices) place.replaceChildren(make('p', '', 'No data that this page can read.'));
  else fill(place, { caption: card.chart.title, ...rowsOf(card) });
}
