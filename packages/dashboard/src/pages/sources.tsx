import type { ComponentChildren } from 'preact';
import type { Json } from '../json/exact-json.ts';
import { itemsIn, textIn } from '../json/fields.ts';
import { useAsked } from '../parts/asked.ts';
import { Confirm } from '../parts/confirm.tsx';
import { Copy } from '../parts/copy.tsx';
import { Card, Empty, Fault, Page } from '../parts/page.tsx';
import { WideTable } from '../parts/wide-table.tsx';
import { SERVICE_URL } from '../service/address.ts';
import { Refusal, ask, askJson } from '../service/ask.ts';

const EVERY_MS = 5_000;

/** Who sends to an address of its own: what to give to each sender, and an end to it. */
export function SourcesPage() {
  const { answer, error, again } = useAsked(
    '/sources',
    (signal) => askJson('/sources', { signal }),
    EVERY_MS,
  );
  const sources = itemsIn(answer, 'sources');
  const isUnknown = error instanceof Refusal && error.status === 404;
  return (
    <Page
      title="Sources"
      lead="A source sends in a form of its own, to an address of its own: a provider of webhooks, for example, or a collector of logs."
    >
      {isUnknown ? (
        <p>This service has no sources: it is of a version before them.</p>
      ) : (
        <Fault error={error} />
      )}
      {answer !== undefined && !isUnknown && (
        <>
          {sources.length === 0 ? <NoSource /> : <SourceTable sources={sources} changed={again} />}
          <FixedAddresses />
        </>
      )}
    </Page>
  );
}

function NoSource() {
  return (
    <Empty
      what="There is no source yet. Make one from a terminal, with the secret that the sender signs with; its address is then shown here:"
      command={`STRIPE_SECRET=… npx chronicleweaver sources set payments --kind stripe \\
  --topic 'stripe.{type}' --secret-env STRIPE_SECRET --url ${SERVICE_URL}`}
    />
  );
}

function SourceTable({ sources, changed }: { sources: readonly Json[]; changed: () => void }) {
  return (
    <Card>
      <WideTable label="Sources">
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col">Address for the sender</th>
            <th scope="col">Kind</th>
            <th scope="col">Topic</th>
            <th scope="col" class="number">
              Secrets
            </th>
            <td />
          </tr>
        </thead>
        <tbody>
          {sources.map((source) => (
            <SourceRow key={textIn(source, 'name')} source={source} changed={changed} />
          ))}
        </tbody>
      </WideTable>
      <p class="hint">
        A source without secrets takes deliveries with a key that has the scope <code>publish</code>, or from
        anybody while no keys are in force.
      </p>
    </Card>
  );
}

function SourceRow({ source, changed }: { source: Json; changed: () => void }) {
  const name = textIn(source, 'name');
  const address = SERVICE_URL + textIn(source, 'address');
  return (
    <tr>
      <th scope="row">{name}</th>
      <td>
        <code>{address}</code> <Copy text={address} what={`the address of ${name}`} />
      </td>
      <td>{textIn(source, 'kind')}</td>
      <td>{textIn(source, 'topic')}</td>
      <td class="number">{textIn(source, 'secrets')}</td>
      <td>
        <Delete name={name} changed={changed} />
      </td>
    </tr>
  );
}

function Delete({ name, changed }: { name: string; changed: () => void }) {
  const remove = async (): Promise<void> => {
    await ask(`/sources/${encodeURIComponent(name)}`, { method: 'DELETE' });
    changed();
  };
  return (
    <Confirm label="Delete" title={`Delete ${name}`} isDanger act={remove}>
      <ul>
        <li>
          What it sends from then on is refused, and never becomes an event. Whether it tries again, and for
          how long, is up to the sender.
        </li>
        <li>
          Its definition and its secrets are forgotten. This cannot be undone: who makes a source of this name
          again, at the same address, needs them once more.
        </li>
        <li>The events that came from it stay in the log.</li>
      </ul>
    </Confirm>
  );
}

const FIXED: readonly (readonly [path: string, takes: ComponentChildren])[] = [
  ['/loki/api/v1/push', 'pushes to Loki'],
  ['/v1/batch', 'what Segment’s libraries send'],
  ['/v1/logs', 'logs from OpenTelemetry'],
];

function FixedAddresses() {
  return (
    <p class="hint">
      Some addresses need no source:{' '}
      {FIXED.map(([path, takes], place) => (
        <>
          {place > 0 && ', '}
          <code>{path}</code> takes {takes}
        </>
      ))}
      .
    </p>
  );
}
