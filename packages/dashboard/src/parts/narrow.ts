import { useEffect, useState } from 'preact/hooks';

/** Whether the window is narrower than so many pixels. */
export function useNarrow(px: number): boolean {
  const [query] = useState(() => matchMedia(`(max-width: ${px}px)`));
  const [isNarrow, tell] = useState(query.matches);
  useEffect(() => {
    const changed = (): void => tell(query.matches);
    query.addEventListener('change', changed);
    return () => query.removeEventListener('change', changed);
  }, [query]);
  return isNarrow;
}
