import { Watched } from './watched.ts';

export const THEMES = ['system', 'light', 'dark'] as const;

export type Theme = (typeof THEMES)[number];

/** Kept for the next visit: a taste, not a secret. */
const NAME = 'chronicleweaver-theme';

export const theme = new Watched<Theme>(kept());

function kept(): Theme {
  const name = localStorage.getItem(NAME);
  return THEMES.find((one) => one === name) ?? 'system';
}

export function takeTheme(chosen: Theme): void {
  localStorage.setItem(NAME, chosen);
  show(chosen);
  theme.set(chosen);
}

export function startTheme(): void {
  show(theme.value);
}

function show(chosen: Theme): void {
  document.documentElement.dataset['theme'] = chosen;
}
