import { BASE } from './service/address.ts';
import { Watched } from './watched.ts';

/** Where the reader is: a page, and what is chosen on it. Both are in the address, which can be sent to a colleague. */
export interface Route {
  readonly page: string;
  readonly query: URLSearchParams;
}

export const route = new Watched<Route>(read());

function read(): Route {
  const [, page = ''] = /\/dashboard\/([^/]*)$/.exec(location.pathname) ?? [];
  return { page: page || 'overview', query: new URLSearchParams(location.search) };
}

/** The address of a page such as `groups?name=mailers`. */
export function addressOf(page: string): string {
  return page === 'overview' ? `${BASE}/dashboard` : `${BASE}/dashboard/${page}`;
}

/** Goes to a page; the browser's own buttons lead back. */
export function goTo(page: string): void {
  history.pushState(null, '', addressOf(page));
  route.set(read());
  scrollTo(0, 0);
}

/** Changes what is chosen on this page, without a step to go back to. */
export function choose(query: Readonly<Record<string, string>>): void {
  const pairs = Object.entries(query).filter(([, value]) => value !== '');
  const search = new URLSearchParams(pairs).toString();
  history.replaceState(null, '', location.pathname + (search === '' ? '' : `?${search}`));
  route.set(read());
}

/** Follows links within the dashboard without loading it anew. Called once. */
export function startRouting(): void {
  addEventListener('popstate', () => route.set(read()));
  // The page also answers at `/`; its address should name it.
  if (!location.pathname.includes('/dashboard')) history.replaceState(null, '', addressOf('overview'));
  document.addEventListener('click', (event) => {
    const isPlain =
      event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    const link =
      event.target instanceof Element ? event.target.closest<HTMLAnchorElement>('a[data-page]') : null;
    if (!isPlain || link === null) return;
    event.preventDefault();
    goTo(link.dataset['page'] ?? 'overview');
  });
}
