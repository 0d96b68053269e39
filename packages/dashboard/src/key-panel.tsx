import { useEffect, useRef, useState } from 'preact/hooks';
import { key, keyAsked, takeKey } from './service/key.ts';
import { useWatched } from './watched.ts';

/** Shows whether a key is in use, and asks for one when the service does. */
export function KeyPanel() {
  const secret = useWatched(key);
  const asked = useWatched(keyAsked);
  const [isOpen, open] = useState(false);
  const dialog = useRef<HTMLDialogElement>(null);

  // Who closes it without a key can open it again, with the button.
  useEffect(() => {
    const isWanted = isOpen || asked !== undefined;
    if (!isWanted) dialog.current?.close();
    else if (dialog.current?.open === false) dialog.current.showModal();
  }, [isOpen, asked]);

  const take = (chosen: string | undefined): void => {
    takeKey(chosen);
    open(false);
  };
  return (
    <>
      <button type="button" class="quiet" onClick={() => open(true)}>
        {secret === undefined ? 'No key' : 'Key in use'}
      </button>
      <dialog ref={dialog} aria-labelledby="key-title" onClose={() => open(false)}>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            const given = new FormData(event.currentTarget).get('key');
            if (typeof given === 'string' && given.trim() !== '') take(given.trim());
          }}
        >
          <h2 id="key-title">Key</h2>
          <p>
            {asked === undefined
              ? 'Every request of this tab is sent with this key.'
              : `The service says: ${asked}.`}
          </p>
          <label>
            Secret of the key
            <input name="key" type="password" autocomplete="off" spellcheck={false} autofocus />
          </label>
          <p class="hint">
            It is kept for this tab, until that is closed, and sent to this service alone. An operator makes
            one with <code>npm run keys -- create NAME --scope read</code>.
          </p>
          <div class="row">
            <button type="submit" class="main">
              Use this key
            </button>
            {secret !== undefined && (
              <button type="button" onClick={() => take(undefined)}>
                Forget the key
              </button>
            )}
            {asked === undefined && (
              <button type="button" onClick={() => open(false)}>
                Cancel
              </button>
            )}
          </div>
        </form>
      </dialog>
    </>
  );
}
