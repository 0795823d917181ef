/** An element with a class and a text. Whatever comes from the data goes onto the page as text, never as HTML. */
export function make(name, className = '', text = '') {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (text) node.textContent = text;
  return node;
}
