import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Deployment, StatefulSet } from 'kubernetes-types/apps/v1.d.ts';
import type { PodSpec, Secret, Service } from 'kubernetes-types/core/v1.d.ts';
import type { PodDisruptionBudget } from 'kubernetes-types/policy/v1.d.ts';
import { parseAllDocuments } from 'yaml';
import { tempFolder } from '../lab/lifetime.ts';
import { pathOf, textOf } from '../lab/repository.ts';

// kubectl asks a cluster what a kind may hold, also for --dry-run=client. So the manifests are checked as values of
// the types that are made from Kubernetes' own OpenAPI document: names and types of all fields, and those that must be there.
const MODULES = { v1: 'core/v1', 'apps/v1': 'apps/v1', 'policy/v1': 'policy/v1' } as const;

/** The service's own bound on a stop, seconds (docs/operations.md). */
const STOP_S = 9;

interface Manifest {
  readonly apiVersion: keyof typeof MODULES;
  readonly kind: string;
}

function manifestsIn(file: string): Manifest[] {
  return parseAllDocuments(textOf(`deploy/kubernetes/${file}`)).map((document) => {
    assert.deepEqual(document.errors, []);
    return document.toJS() as Manifest;
  });
}

const POSTGRES = manifestsIn('postgres.yaml');
const SQLITE = manifestsIn('sqlite.yaml');

/** What the compiler says of manifests that are written down as values of their kinds. */
function complaintsAbout(manifests: readonly unknown[]): string {
  using folder = tempFolder();
  const lines = (manifests as Manifest[]).map(
    (manifest, i) =>
      `export const m${i}: import('kubernetes-types/${MODULES[manifest.apiVersion]}.d.ts').${manifest.kind} = ${JSON.stringify(manifest)};`,
  );
  writeFileSync(join(folder.path, 'manifests.ts'), lines.join('\n'));
  symlinkSync(pathOf('node_modules'), join(folder.path, 'node_modules'));
  const options = ['--noEmit', '--strict', '--skipLibCheck', '--types', '', '--ignoreConfig'];
  const compiler = [pathOf('node_modules/typescript/bin/tsc'), ...options, 'manifests.ts'];
  const { status, stdout, stderr } = spawnSync(process.execPath, compiler, {
    cwd: folder.path,
    encoding: 'utf8',
  });
  assert.equal(stderr, '');
  assert.equal(status === 0, stdout === '', stdout);
  return stdout;
}

interface Kinds {
  Deployment: Deployment;
  StatefulSet: StatefulSet;
  Service: Service;
  Secret: Secret;
  PodDisruptionBudget: PodDisruptionBudget;
}

function the<K extends keyof Kinds>(manifests: readonly Manifest[], kind: K): Kinds[K] {
  const found = manifests.filter((manifest) => manifest.kind === kind);
  assert.equal(found.length, 1, kind);
  return found[0] as unknown as Kinds[K];
}

test('the manifests have the fields that Kubernetes knows, and a misspelt one is noticed', () => {
  assert.equal(complaintsAbout([...POSTGRES, ...SQLITE]), '');
  const deployment = the(POSTGRES, 'Deployment');
  const misspelt = { ...deployment, spec: { ...deployment.spec, replicaz: 2 } };
  assert.match(complaintsAbout([misspelt]), /replicaz/);
  const ofWrongType = { ...deployment, spec: { ...deployment.spec, replicas: '2' } };
  assert.match(complaintsAbout([ofWrongType]), /TS2322/);
});

for (const { name, manifests, workload } of [
  { name: 'postgres.yaml', manifests: POSTGRES, workload: the(POSTGRES, 'Deployment') },
  { name: 'sqlite.yaml', manifests: SQLITE, workload: the(SQLITE, 'StatefulSet') },
]) {
  const { selector, template } = workload.spec!;
  const pod: PodSpec = template.spec!;
  const container = pod.containers[0]!;

  test(`${name}: service and budget select the pods, and every port that is named exists`, () => {
    assert.equal(pod.containers.length, 1);
    const labels = template.metadata?.labels;
    assert.deepEqual(selector.matchLabels, labels);
    const service = the(manifests, 'Service');
    assert.deepEqual(service.spec?.selector, labels);
    const ports = container.ports?.map((port) => port.name);
    const { startupProbe, livenessProbe, readinessProbe } = container;
    for (const { httpGet } of [startupProbe!, livenessProbe!, readinessProbe!]) {
      assert.ok(ports?.includes(String(httpGet?.port)));
    }
    assert.ok(ports?.includes(String(service.spec?.ports?.[0]?.targetPort)));
    assert.equal(container.ports?.[0]?.containerPort, 8000);
    assert.match(textOf('docker/docker-compose.yml'), new RegExp(`image: ${container.image}\\n`));
  });

  test(`${name}: Prometheus is led to the port of the metrics, which the Service does not show`, () => {
    const { annotations } = template.metadata!;
    const port = container.ports?.find((one) => one.name === 'metrics')?.containerPort;
    assert.deepEqual(annotations, { 'prometheus.io/scrape': 'true', 'prometheus.io/port': `${port}` });
    assert.equal(container.env?.find((one) => one.name === 'METRICS_PORT')?.value, `${port}`);
    const service = the(manifests, 'Service');
    assert.deepEqual(
      service.spec?.ports?.map((one) => one.targetPort),
      ['http'],
    );
  });

  test(`${name}: only what a restart cures ends a pod, and only what can commit gets requests`, () => {
    assert.equal(container.livenessProbe?.httpGet?.path, '/health');
    assert.equal(container.readinessProbe?.httpGet?.path, '/ready');
  });

  test(`${name}: a pod may do no more than a container of the compose file`, () => {
    assert.equal(pod.securityContext?.runAsNonRoot, true);
    assert.equal(pod.securityContext.runAsUser, 1000);
    assert.equal(pod.automountServiceAccountToken, false);
    assert.deepEqual(container.securityContext, {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
  });

  test(`${name}: a stop has the time that it may take`, () => {
    const preStopS = Number(container.lifecycle?.preStop?.exec?.command?.[1] ?? 0);
    assert.ok(preStopS >= 0 && pod.terminationGracePeriodSeconds! > preStopS + STOP_S + 5);
  });
}

test('postgres.yaml: the address comes from the secret, and one instance at a time may be taken away', () => {
  const { spec } = the(POSTGRES, 'Deployment');
  const secret = the(POSTGRES, 'Secret');
  const { env } = spec!.template.spec!.containers[0]!;
  const reference = env?.find(({ name }) => name === 'STORE_URL')?.valueFrom?.secretKeyRef;
  assert.deepEqual(reference, { name: secret.metadata?.name, key: 'STORE_URL' });
  assert.ok(URL.canParse(secret.stringData!['STORE_URL']!));
  const budget = the(POSTGRES, 'PodDisruptionBudget');
  assert.deepEqual(budget.spec?.selector, spec!.selector);
  assert.ok(spec!.replicas! > Number(budget.spec?.maxUnavailable));
});

test('sqlite.yaml: one pod at most has the file, on a volume of its own', () => {
  const { spec } = the(SQLITE, 'StatefulSet');
  assert.equal(spec!.replicas, 1);
  const claim = spec!.volumeClaimTemplates?.[0];
  assert.deepEqual(claim?.spec?.accessModes, ['ReadWriteOncePod']);
  const mounts = spec!.template.spec!.containers[0]!.volumeMounts;
  assert.equal(mounts?.find(({ name }) => name === claim.metadata?.name)?.mountPath, '/app/data');
});
