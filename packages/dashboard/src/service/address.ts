/** What precedes `/dashboard` in the address of the page: a proxy may have put the service below a path. */
function baseOf(pathname: string): string {
  const at = pathname.lastIndexOf('/dashboard');
  return (at < 0 ? pathname : pathname.slice(0, at)).replace(/\/+$/, '');
}

export const BASE = baseOf(location.pathname);

/** The whole address of the service, such as `http://localhost:8000`. */
export const SERVICE_URL = location.origin + BASE;
