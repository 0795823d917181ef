// Numbers, times and colours as the page writes them. Pure, but for the clock's time zone.

const THIN = '\u202f';
const DAY = 86_400_000;
const plain = new Intl.NumberFormat('en-US', { maximumFractionDigits: 2 });
const small = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 3 });
const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

const two = (number) => String(number).padStart(2, '0');

/** 1234567.5 as "1 234 567.5", with thin spaces; nothing as a dash. */
export function number(value) {
  if (value === null || value === undefined) return '–';
  return (Math.abs(value) < 1 ? small : plain).format(value).replaceAll(',', THIN);
}

/** Digits in a text, which may be more than a number can hold, parted in threes. */
export function digits(text) {
  if (text === null || text === undefined) return '–';
  if (!/^-?\d+(\.\d+)?$/.test(text)) return text;
  const [whole, fraction] = text.split('.');
  return whole.replace(/\B(?=(\d{3})+$)/g, THIN) + (fraction ? `.${fraction}` : '');
}

/** "1 event", "2 events". */
export function count(value, one, many = `${one}s`) {
  return `${number(value)} ${value === 1 ? one : many}`;
}

/** A value that can be an empty text. */
export const worded = (text) => (text === '' ? '(empty)' : text);

/** The name of a group. */
export const named = (group) => worded(group.name);

/** The day, as "22 Nov". */
export function day(time) {
  const at = new Date(time);
  return `${at.getDate()} ${months[at.getMonth()]}`;
}

/** The time of day; with seconds where `grain` (milliseconds) is below a minute. */
export function clock(time, grain = 0) {
  const at = new Date(time);
  const minutes = `${two(at.getHours())}:${two(at.getMinutes())}`;
  return grain >= 60_000 ? minutes : `${minutes}:${two(at.getSeconds())}`;
}

/** Day and time of a bucket; the day alone where a bucket is as long as a day. */
export function moment(time, grain) {
  return grain >= DAY ? day(time) : `${day(time)}, ${clock(time, grain)}`;
}

/** A length of time in at most two units: "5 s", "2 min 3 s", "3 h 20 min", "2 d 4 h". */
export function span(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  const [days, hours, minutes] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  if (days) return `${number(days)} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

/** A length of time that somebody chose: "90 d", "1 h 30 min", "10 s". */
export function lasting(milliseconds) {
  const seconds = Math.round(milliseconds / 1000);
  const [days, hours, minutes] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  const units = [[days, 'd'], [hours, 'h'], [minutes, 'min'], [seconds % 60, 's']];
  return units.filter(([many]) => many).map(([many, unit]) => `${number(many)} ${unit}`).join(' ') || `${number(milliseconds)} ms`;
}

/** What people call a window of this length. */
export function period(grain) {
  return { 1000: 'second', 60_000: 'minute', 3_600_000: 'hour', [DAY]: 'day' }[grain] ?? 'window';
}

/** Plotly reads its texts as a little HTML: what comes from the data must not be read so. */
export function escaped(text) {
  return String(text).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

/** The start of a long name. */
export function short(text, most) {
  const letters = [...String(text)];
  return letters.length > most ? `${letters.slice(0, most - 1).join('')}…` : letters.join('');
}

const MINUTE = 60_000;
const STEPS = [1, 2, 5, 10, 15, 30].map((step) => step * 1000)
  .concat([1, 2, 5, 10, 15, 30].map((step) => step * MINUTE))
  .concat([1, 2, 3, 6, 12].map((step) => step * 60 * MINUTE));

function days(from, to, most) {
  const every = Math.max(1, Math.ceil((to - from) / DAY / most));
  const found = [];
  const at = new Date(from);
  at.setHours(0, 0, 0, 0);
  for (; at.getTime() <= to; at.setDate(at.getDate() + every)) {
    if (at.getTime() >= from) found.push({ at: at.getTime(), text: day(at) });
  }
  return found;
}

/** The marks of a time axis, at most `most` of them, at round local times; `strong` marks lead a longer unit in. */
export function ticks(from, to, most) {
  const step = STEPS.find((length) => (to - from) / length <= most);
  if (!step) return days(from, to, most);
  const hours = step >= 60 * MINUTE;
  const found = [];
  const midnight = new Date(from);
  midnight.setHours(0, 0, 0, 0);
  // Day by day, and hours by the clock on the wall, because a day on which the clock is changed is not 24 hours long.
  while (midnight.getTime() <= to) {
    const begin = midnight.getTime();
    const nth = (index) => (hours ? new Date(begin).setHours(index * step / 60 / MINUTE) : begin + index * step);
    midnight.setDate(midnight.getDate() + 1);
    const end = Math.min(midnight.getTime(), to + 1);
    for (let index = hours ? 0 : Math.max(0, Math.ceil((from - begin) / step)); nth(index) < end; index += 1) {
      const at = nth(index);
      if (at < from || at === found.at(-1)?.at) continue;
      const leads = at === begin || (!hours && step >= MINUTE && new Date(at).getMinutes() === 0);
      found.push({ at, text: at === begin ? day(at) : clock(at, step), strong: leads });
    }
  }
  return found;
}

function channels(color) {
  const hex = /^#([0-9a-f]{6})$/i.exec(color)?.[1];
  return hex && [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

function luminance(rgb) {
  const [red, green, blue] = rgb.map((part) => (part <= 10 ? part / 3294.6 : ((part / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one, other) {
  const [less, more] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (more + 0.05) / (less + 0.05);
}

/** The colour, moved towards white on a dark ground and towards black on a light one until it stands out from it (3 to 1). */
export function visible(color, ground) {
  const [from, against] = [channels(color), channels(ground)];
  if (!from || !against) return color;
  const towards = luminance(against) < 0.2 ? 255 : 0;
  for (let part = 0; part <= 1; part += 0.05) {
    const mixed = from.map((value) => Math.round(value + (towards - value) * part));
    if (contrast(mixed, against) >= 3) return `#${mixed.map((value) => value.toString(16).padStart(2, '0')).join('')}`;
  }
  return color;
}

/** Black or white, whichever is easier to read on the colour. */
export function readable(ground) {
  const rgb = channels(ground);
  return rgb && contrast(rgb, [255, 255, 255]) < contrast(rgb, [0, 0, 0]) ? '#000000' : '#ffffff';
}

/** The colour, see-through: `share` of it. */
export function faded(color, share) {
  const rgb = channels(color);
  return rgb ? `rgba(${rgb.join(',')},${share})` : color;
}
