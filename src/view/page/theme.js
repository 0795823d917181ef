// Light or dark: the reader's choice, else the system's. Runs before the first paint, so that nothing flashes.
'use strict';

(() => {
  const root = document.documentElement;
  const system = window.matchMedia('(prefers-color-scheme: dark)');

  function chosen() {
    try {
      return localStorage.getItem('pipeline-theme');
    } catch {
      return null; // storage is switched off
    }
  }

  function keep(theme) {
    try {
      localStorage.setItem('pipeline-theme', theme);
    } catch {
      // Then it holds until the page is left.
    }
  }

  function wear(theme) {
    root.dataset.theme = theme;
    const button = document.getElementById('theme');
    if (button) button.textContent = theme === 'dark' ? '☀ Light' : '☾ Dark';
    root.dispatchEvent(new Event('theme'));
  }

  const ofSystem = () => (system.matches ? 'dark' : 'light');
  wear(chosen() ?? ofSystem());
  system.addEventListener('change', () => chosen() ?? wear(ofSystem()));
  document.addEventListener('DOMContentLoaded', () => {
    wear(root.dataset.theme);
    document.getElementById('theme').addEventListener('click', () => {
      const theme = root.dataset.theme === 'dark' ? 'light' : 'dark';
      keep(theme);
      wear(theme);
    });
  });
})();
