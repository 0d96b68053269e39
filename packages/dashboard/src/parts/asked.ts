import { useEffect, useState } from 'preact/hooks';
import { key } from '../service/key.ts';
import { useWatched } from '../watched.ts';

/** Nobody looks. */
const HIDDEN_EVERY_MS = 30_000;

/** What became of a question: nothing yet, an answer, or why there is none. */
export interface Asked<T> {
  readonly answer?: T;
  readonly error?: unknown;
}

/**
 * Asks when the component appears, again when the question or the key changes, and again and again every so many milliseconds if
 * that is given. An answer stays until the next one comes, so that nothing flickers, but not for another key. A null question is
 * not asked. While nobody looks at the tab, questions are few; the next one comes at once when somebody does.
 */
export function useAsked<T>(
  question: string | null,
  ask: (signal: AbortSignal) => Promise<T>,
  everyMs?: number,
): Asked<T> & { readonly again: () => void } {
  const [asked, tell] = useState<Asked<T> & { readonly of?: string }>({});
  const [round, next] = useState(0);
  const secret = useWatched(key);
  const of = `${question}\n${secret}`;
  useEffect(() => {
    if (question === null) return;
    const stop = new AbortController();
    const { signal } = stop;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let isAsking = false;
    const askNow = async (): Promise<void> => {
      isAsking = true;
      try {
        const answer = await ask(signal);
        if (!signal.aborted) tell({ answer, of });
      } catch (error) {
        // The last answer stays on the page; the error is told beside it.
        if (!signal.aborted) tell((last) => (last.of === of ? { ...last, error } : { error, of }));
      }
      isAsking = false;
      if (everyMs === undefined || signal.aborted) return;
      timer = setTimeout(() => void askNow(), document.hidden ? Math.max(everyMs, HIDDEN_EVERY_MS) : everyMs);
    };
    void askNow();
    if (everyMs !== undefined) {
      const looked = (): void => {
        if (document.hidden || isAsking) return;
        clearTimeout(timer);
        void askNow();
      };
      document.addEventListener('visibilitychange', looked, { signal });
    }
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [of, round]);
  const again = (): void => next((count) => count + 1);
  return asked.of === of ? { ...asked, again } : { again };
}
