import { readFileSync } from 'node:fs';
import { pathOf } from '@chronicleweaver/client';
import { decodeText } from '@chronicleweaver/protocol';
import { Command, type Kind, TEXT, listOption, option } from '@chronicleweaver/terminal';
import { printDone, printMembers } from '../answers.ts';
import { connect, serviceCommand } from '../service.ts';
import { type Terminal, harmless } from '../terminal.ts';

interface Source {
  readonly name: string;
  readonly kind: string;
  readonly address: string;
  readonly topic: string;
  readonly secrets: number;
}

/** `chronicleweaver sources`: who sends to an address of its own. */
export function sourcesCommand(terminal: Terminal) {
  return new Command('sources')
    .summary('Take the webhooks of others')
    .description(
      'A source is a provider of webhooks, or anybody else who sends in a form of his own; see `sources <command> --help`.',
    )
    .addCommand(listCommand(terminal))
    .addCommand(showCommand(terminal))
    .addCommand(setCommand(terminal))
    .addCommand(deleteCommand(terminal));
}

function listCommand(terminal: Terminal) {
  return serviceCommand('list', 'List the sources', ['sources list']).action(async (service) => {
    const { signal } = terminal;
    const { sources } = (await connect(service).request('GET', '/sources', { signal })) as {
      sources: Source[];
    };
    if (service.json) return terminal.line(JSON.stringify(sources));
    const rows = sources.map(({ name, kind, address, topic, secrets }) => [
      name,
      kind,
      new URL(address, service.url).href,
      secrets,
      harmless(topic),
    ]);
    await terminal.table(['SOURCE', 'KIND', 'ADDRESS', 'SECRETS', 'TOPIC'], rows);
  });
}

function showCommand(terminal: Terminal) {
  return serviceCommand('show', 'Show a source, without its secrets', ['sources show payments'])
    .argument('<name>')
    .action(async (name, service) => {
      const { signal } = terminal;
      const answer = await connect(service).request('GET', `/sources${pathOf(name)}`, { signal });
      await printMembers(terminal, answer, service.json);
    });
}

/** So that no secret is in the history of a shell, or in the list of processes. */
const SECRET_FILE: Kind<string> = {
  takes: 'a file with a secret in it',
  read(path) {
    try {
      return decodeText(readFileSync(path)).trim() || undefined;
    } catch {
      return undefined;
    }
  },
};
const SECRET_VARIABLE: Kind<string> = {
  takes: 'the name of a variable of the environment with a secret in it',
  read: (name) => process.env[name]?.trim() || undefined,
};

function setCommand(terminal: Terminal) {
  return serviceCommand('set', 'Set a source, new or in place of the one with its name', [
    "sources set payments --kind stripe --topic 'stripe.{type}' --secret-env STRIPE_SECRET",
    "sources set code --kind github --topic 'github.{type}' --secret-file new.txt --secret-file old.txt",
    "sources set shop --kind generic --topic 'orders.{/kind}' --id /order/number",
    "sources set app --kind collector --topic 'logs.{service|app}' --digest host --digest time --digest message",
  ])
    .argument('<name>')
    .addOption(
      option(
        '--kind <kind>',
        'github, stripe, shopify, slack, standard-webhooks, generic or collector',
        TEXT,
      ).makeOptionMandatory(),
    )
    .addOption(
      option(
        '--topic <topic>',
        'of its events, with parts of a delivery in braces',
        TEXT,
      ).makeOptionMandatory(),
    )
    .addOption(option('--source <source>', 'the source of its events; its name if left out', TEXT))
    .addOption(
      listOption(
        '--secret-file <file>',
        'what it signs with; up to three, while one is changed',
        SECRET_FILE,
      ),
    )
    .addOption(listOption('--secret-env <variable>', 'the same, from the environment', SECRET_VARIABLE))
    .addOption(option('--max-age <duration>', 'how old a signature may be that tells its time', TEXT))
    .addOption(
      option(
        '--id <place>',
        'where an id is: a header, a JSON pointer, or digest; of kind collector also a template',
        TEXT,
      ),
    )
    .addOption(option('--timestamp <place>', 'where the time is: a header or a JSON pointer', TEXT))
    .addOption(
      listOption(
        '--digest <field>',
        'of kind collector: a field that tells records without an id apart',
        TEXT,
      ),
    )
    .addOption(
      option('--records <member>', 'of kind collector: the member of a body that holds the records', TEXT),
    )
    .addOption(
      option('--signature-header <name>', 'the header with the signature, if it is of kind generic', TEXT),
    )
    .addOption(option('--signature-algorithm <name>', 'sha1, sha256 or sha512', TEXT))
    .addOption(option('--signature-encoding <name>', 'hex or base64', TEXT))
    .addOption(option('--signature-prefix <text>', 'what stands before it, such as sha256=', TEXT))
    .addHelpText('after', '\nThen give its address to whoever sends: `sources list` shows it.')
    .action(async (name, { kind, topic, source, secretFile = [], secretEnv = [], ...options }) => {
      const secrets = [...secretFile, ...secretEnv];
      const signature = {
        header: options.signatureHeader,
        algorithm: options.signatureAlgorithm,
        encoding: options.signatureEncoding,
        prefix: options.signaturePrefix,
      };
      const body = {
        kind,
        topic,
        source,
        secrets: secrets.length === 0 ? undefined : secrets,
        max_age: options.maxAge,
        id: options.id,
        timestamp: options.timestamp,
        digest: options.digest,
        records: options.records,
        // Without a header it is sent as well, for the service to refuse: whoever named an algorithm means it.
        signature: Object.values(signature).some((part) => part !== undefined) ? signature : undefined,
      };
      const { signal } = terminal;
      const answer = await connect(options).request('PUT', `/sources${pathOf(name)}`, { body, signal });
      await printMembers(terminal, answer, options.json);
    });
}

function deleteCommand(terminal: Terminal) {
  return serviceCommand('delete', 'Delete a source: what it sends from then on is refused', [
    'sources delete payments',
  ])
    .argument('<name>')
    .action(async (name, service) => {
      const { signal } = terminal;
      await connect(service).request('DELETE', `/sources${pathOf(name)}`, { signal });
      await printDone(terminal, 'deleted', name, service.json);
    });
}
