import manifest from '../package.json' with { type: 'json' };
import { textIn } from './json/fields.ts';
import { unreachable } from './service/ask.ts';
import { SERVICE_URL } from './service/address.ts';
import { pulse } from './service/pulse.ts';
import { useWatched } from './watched.ts';

/** What is to be known on every page: the service is away, or is of another version than this page. */
export function Notices() {
  const reason = useWatched(unreachable);
  const version = textIn(useWatched(pulse).stats, 'version');
  return (
    <div aria-live="polite">
      {reason !== undefined && (
        <p class="notice bad">
          <strong>The service at {SERVICE_URL} cannot be reached</strong> ({reason}). This page shows what it
          knew last, and goes on by itself when the service is back. Nothing that was acknowledged is lost.
        </p>
      )}
      {version !== '' && version !== manifest.version && (
        <p class="notice">
          This page is of version {manifest.version}, the service of {version}: reload the page to get the one
          that belongs to it. Until then something may be missing here.
        </p>
      )}
    </div>
  );
}
