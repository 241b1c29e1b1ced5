/** `deploy/helm/berth`: what it renders, against what Berth understands. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { cp, mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { parse, parseAllDocuments } from 'yaml'
import { freePort } from '../server/test/free-port.ts'
import { repositoryFolder } from './clients/folders.ts'
import { client } from './clients/index.ts'
import { startProcessGroup } from './process-group.ts'
import { fetchOnce, runBerth } from './program.ts'
import { freshHome, type Home } from './run.ts'

const helm = client('helm')
const chart = join(repositoryFolder, 'deploy', 'helm', 'berth')
const read = (...path: string[]) => readFileSync(join(repositoryFolder, ...path), 'utf8')

type Values = { readonly [name: string]: unknown }

const single: Values = { trustedProxies: ['10.1.0.0/16'] }
const cluster: Values = {
  mode: 'cluster',
  trustedProxies: ['10.1.0.0/16'],
  database: { url: 'postgres://berth:s3same@db.example.com/berth' },
  secretKey: { value: '0123456789abcdef'.repeat(4) },
  blobs: { url: 's3://bucket/prefix?region=eu-central-1' },
  serviceMonitor: { enabled: true },
}
const byOwnSecrets: Values = {
  ...cluster,
  database: { existingSecret: { name: 'their-database' } },
  secretKey: { existingSecret: { name: 'their-key' } },
  tls: { existingSecret: 'their-certificate' },
}
const kinds = { single, cluster, byOwnSecrets }

interface Resource {
  readonly kind: string
  readonly metadata: { readonly name: string; readonly annotations?: Readonly<Record<string, string>> }
  // biome-ignore lint/suspicious/noExplicitAny: the parts of Kubernetes' documents are looked at one by one
  readonly [part: string]: any
}

describe('deploy/helm/berth', { skip: helm.skip, timeout: 300_000 }, () => {
  let home: Home
  before(async () => {
    home = await freshHome()
  })
  after(() => home[Symbol.asyncDispose]())

  let files = 0
  async function argumentsFor(values: Values): Promise<string[]> {
    const file = home.path(`values-${files++}.json`)
    await writeFile(file, JSON.stringify(values))
    return [chart, '--values', file]
  }
  const kube = ['--kube-version', '1.31']
  const text = async (values: Values) =>
    (await home.run(helm.path, ['template', 'rel', ...(await argumentsFor(values)), ...kube])).stdout
  const render = async (values: Values) =>
    parseAllDocuments(await text(values)).flatMap((document) => (document.toJS() as Resource | null) ?? [])
  const refusal = async (values: Values) =>
    (await home.runFailing(helm.path, ['template', 'rel', ...(await argumentsFor(values)), ...kube])).stderr

  for (const [name, values] of Object.entries(kinds)) {
    test(`${name} › lint finds nothing`, async () => {
      await home.run(helm.path, ['lint', '--strict', ...(await argumentsFor(values)), ...kube])
    })
  }

  test('has the version of Berth, and runs as the user of its image', async () => {
    const { version } = JSON.parse(read('package.json')) as { version: string }
    const { appVersion } = parse(read('deploy', 'helm', 'berth', 'Chart.yaml')) as { appVersion: string }
    assert.equal(appVersion, version)
    const user = /^USER (\d+):(\d+)$/m.exec(read('deploy', 'Dockerfile'))
    const { spec } = podOf(await render(single))
    assert.deepEqual([spec.securityContext.runAsUser, spec.securityContext.runAsGroup], [Number(user?.[1]), 1000])
    assert.equal(containerOf(await render(single)).image, `berth:${version}`)
  })

  test('every setting of berth start is the chart’s or can be given, and no other', async () => {
    const { stdout } = await runBerth(['start', '--help'])
    const known = Array.from(stdout.matchAll(/^ {2}--([a-z-]+) [<[]/gm), ([, name]) => name ?? '')
    const schema = JSON.parse(read('deploy', 'helm', 'berth', 'values.schema.json')) as {
      properties: { settings: { properties: Record<string, unknown> } }
    }
    const givable = Object.keys(schema.properties.settings.properties)
    const set = new Set<string>()
    for (const values of Object.values(kinds))
      for (const key of Object.keys(configOf(await render(values)))) set.add(key)
    // In the environment: one says where the file is, the other is secret.
    const covered = new Set([...set, ...givable, 'config', 'database'])
    assert.deepEqual([...covered].sort(), known.sort())
    const variables = containerOf(await render(cluster)).env.map(({ name }: { name: string }) => name)
    assert.deepEqual(variables, ['BERTH_CONFIG', 'BERTH_DATABASE'])
    for (const variable of variables) assert.match(read('docs', 'configuration.md'), new RegExp(`\`${variable}\``))
  })

  for (const [name, values] of Object.entries({ single, tls: { ...single, tls: { existingSecret: 'theirs' } } })) {
    test(`${name} › Berth starts with the file that is rendered, and answers the probes`, async () => {
      const resources = await render({ ...values, settings: { 'gc-grace': '48h', 'gc-interval': 'off' } })
      const folder = home.path(`run-${name}`)
      const port = await freePort()
      await mkdir(join(folder, 'data'), { recursive: true })
      await mkdir(join(folder, 'tls'))
      const certificate = ['-keyout', join(folder, 'tls', 'tls.key'), '-out', join(folder, 'tls', 'tls.crt')]
      const subject = ['-subj', '/CN=berth', '-addext', 'subjectAltName=DNS:*.registry.example.com']
      const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
      await home.run('openssl', ['req', '-x509', ...key, ...subject, ...certificate])
      const container = containerOf(resources)
      const moved = fileOf(resources)
        .replace('data: /data', `data: ${folder}/data`)
        .replace('port: 8080', `port: ${port}`)
        .replaceAll('/var/run/berth/', `${folder}/`)
      await writeFile(join(folder, 'berth.yaml'), moved)
      const main = join(repositoryFolder, 'cli', 'src', 'main.ts')
      const others = Object.entries(process.env).filter(([variable]) => !variable.startsWith('BERTH_'))
      const env = { ...Object.fromEntries(others), BERTH_CONFIG: join(folder, 'berth.yaml') }
      await using server = startProcessGroup(process.execPath, [main, ...container.args], env)
      for (const probe of ['startupProbe', 'readinessProbe', 'livenessProbe']) {
        const { path, scheme, port: portName } = container[probe].httpGet as Record<string, string>
        assert.equal(container.ports[0].name, portName)
        assert.equal(container.ports[0].containerPort, 8080)
        const url = `${scheme?.toLowerCase()}://127.0.0.1:${port}${path}`
        await server.ready(async () => {
          const answer = await fetchOnce(url, { rejectUnauthorized: false }).catch(() => undefined)
          return answer?.status === 200
        }, 30)
      }
      await server.ready(async () => server.stderr.includes('registry.example.com'), 10)
    })
  }

  test('what the configuration names is mounted, and what is secret is in Secrets only', async () => {
    for (const values of Object.values(kinds)) {
      const resources = await render(values)
      const { volumeMounts } = containerOf(resources)
      const { volumes } = podOf(resources).spec
      const inside = (path: string) => {
        const mount = volumeMounts.find(({ mountPath }: { mountPath: string }) => path.startsWith(mountPath))
        assert.ok(mount, `${path} is not mounted`)
        assert.ok(
          volumes.some((volume: { name: string }) => volume.name === mount.name),
          mount.name,
        )
      }
      const config = configOf(resources)
      for (const name of ['data', 'secret-key', 'tls-cert', 'tls-key']) {
        if (config[name] !== undefined) inside(String(config[name]))
      }
      inside(containerOf(resources).env[0].value)
      const secrets = resources.filter(({ kind }) => kind === 'Secret')
      const others = JSON.stringify(resources.filter(({ kind }) => kind !== 'Secret'))
      for (const secret of ['s3same', '0123456789abcdef'.repeat(4)]) {
        assert.ok(!others.includes(secret), 'a secret outside of a Secret')
        assert.equal(JSON.stringify(secrets).includes(secret), values === cluster)
      }
    }
    const { volumes } = podOf(await render(byOwnSecrets)).spec
    const key = volumes.find(({ name }: { name: string }) => name === 'key')
    assert.deepEqual(key.secret.items, [{ key: 'secret.key', path: 'secret.key' }])
    assert.equal(key.secret.secretName, 'their-key')
    assert.deepEqual(containerOf(await render(byOwnSecrets)).env[1].valueFrom.secretKeyRef, {
      name: 'their-database',
      key: 'database-url',
    })
  })

  test('cluster › Pods are replaced one by one, on different nodes, and have time to drain', async () => {
    const resources = await render({ ...cluster, drainSeconds: 300 })
    const deployment = resourceOf(resources, 'Deployment')
    assert.equal(deployment.spec.replicas, 3)
    assert.deepEqual(deployment.spec.strategy, {
      type: 'RollingUpdate',
      rollingUpdate: { maxSurge: 1, maxUnavailable: 0 },
    })
    const { spec } = podOf(resources)
    const preStop = Number(containerOf(resources).lifecycle.preStop.exec.command[1])
    assert.ok(spec.terminationGracePeriodSeconds > Number(configOf(resources)['drain-seconds']) + preStop)
    const [preferred] = spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution
    const labels = deployment.spec.selector.matchLabels
    assert.deepEqual(preferred.podAffinityTerm.labelSelector.matchLabels, labels)
    assert.deepEqual(resourceOf(resources, 'PodDisruptionBudget').spec, {
      maxUnavailable: 1,
      selector: { matchLabels: labels },
    })
    assert.deepEqual(resourceOf(resources, 'Service').spec.selector, labels)
    assert.deepEqual(spec.volumes.find(({ name }: { name: string }) => name === 'data').emptyDir, {})
    assert.ok(!resources.some(({ kind }) => kind === 'PersistentVolumeClaim'))
  })

  test('single › one Pod that ends before the next begins, on a volume that outlives the release', async () => {
    const resources = await render(single)
    const { spec } = resourceOf(resources, 'Deployment')
    assert.deepEqual([spec.replicas, spec.strategy], [1, { type: 'Recreate' }])
    const claim = resourceOf(resources, 'PersistentVolumeClaim')
    assert.equal(claim.metadata.annotations?.['helm.sh/resource-policy'], 'keep')
    const data = podOf(resources).spec.volumes.find(({ name }: { name: string }) => name === 'data')
    assert.equal(data.persistentVolumeClaim.claimName, claim.metadata.name)
    assert.ok(!resources.some(({ kind }) => kind === 'PodDisruptionBudget'))
  })

  test('Pods keep to the "restricted" Pod Security Standard, with a read-only root', async () => {
    for (const values of Object.values(kinds)) {
      const { spec } = podOf(await render(values))
      assert.equal(spec.securityContext.runAsNonRoot, true)
      assert.equal(spec.securityContext.seccompProfile.type, 'RuntimeDefault')
      assert.deepEqual(spec.containers[0].securityContext, {
        allowPrivilegeEscalation: false,
        capabilities: { drop: ['ALL'] },
        readOnlyRootFilesystem: true,
      })
      assert.equal(spec.automountServiceAccountToken, false)
      assert.equal(spec.enableServiceLinks, false)
      const types = new Set(spec.volumes.flatMap((volume: object) => Object.keys(volume)))
      types.delete('name')
      for (const type of types) {
        assert.ok(['configMap', 'secret', 'emptyDir', 'persistentVolumeClaim'].includes(String(type)))
      }
    }
  })

  test('a changed configuration or secret replaces the Pods', async () => {
    const sums = async (values: Values) => podOf(await render(values)).metadata.annotations
    const before = await sums(cluster)
    assert.deepEqual(await sums(cluster), before)
    assert.notDeepEqual(await sums({ ...cluster, workers: 7 }), before)
    const database = { url: 'postgres://berth:new@db/berth' }
    assert.notDeepEqual(await sums({ ...cluster, database }), before)
    assert.notDeepEqual(await sums({ ...cluster, secretKey: { value: 'f'.repeat(64) } }), before)
  })

  test('no guess of a password can be checked against what Pods tell', async () => {
    const byTheirKey = (url: string) => ({ ...byOwnSecrets, database: { url } })
    const told = async (values: Values) => JSON.stringify(podOf(await render(values)))
    assert.equal(
      await told(byTheirKey('postgres://berth:1@db/berth')),
      await told(byTheirKey('postgres://berth:2@db/berth')),
    )
  })

  test('what cannot work is refused with a sentence', async () => {
    const { database: _, ...noDatabase } = cluster
    const { blobs: __, ...noBlobs } = cluster
    const { secretKey: ___, ...noKey } = cluster
    assert.match(await refusal(noDatabase), /mode cluster needs database\.url or database\.existingSecret\.name/)
    assert.match(await refusal(noBlobs), /mode cluster needs blobs\.url/)
    assert.match(await refusal(noKey), /mode cluster needs secretKey\.value \(openssl rand -hex 32\)/)
    assert.match(await refusal({ database: cluster.database }), /a database is for mode cluster/)
    for (const values of [
      { settings: { prot: 1 } },
      { settings: { port: 1 } },
      { settings: { 'gc-interval': false } }, // what YAML 1.1 makes of `off`
      { replica: 3 },
      { domain: 'https://registry.example.com' },
      { secretKey: { value: 'short' } },
    ]) {
      assert.match(await refusal(values), /values don't meet the specifications of the schema/, JSON.stringify(values))
    }
  })

  test('every value changes something', async () => {
    const values = parse(read('deploy', 'helm', 'berth', 'values.yaml')) as Values
    const before = new Map<Values, string>()
    for (const kind of Object.values(kinds)) before.set(kind, await text(kind))
    const idle: string[] = []
    for (const path of leavesOf(values)) {
      const another = otherThan(
        path,
        path.reduce<unknown>((value, name) => (value as Values)[name], values),
      )
      let changes = false
      for (const [kind, rendered] of before) {
        const result = await text(withValue(kind, path, another)).catch((error: Error) => error.message)
        changes ||= result !== rendered
        if (changes) break
      }
      if (!changes) idle.push(path.join('.'))
    }
    assert.deepEqual(idle, [])
  })

  test('the notes say how to log in, and warn where the proxy is not believed', async () => {
    // `helm template` leaves them out, and `helm install` wants a cluster; so they become a document of a copied chart.
    const copy = home.path('with-notes')
    await cp(chart, copy, { recursive: true })
    await rename(join(copy, 'templates', 'NOTES.txt'), join(copy, 'NOTES.txt'))
    const document = '{{ dict "kind" "Notes" "text" (tpl (.Files.Get "NOTES.txt") .) | toYaml }}\n'
    await writeFile(join(copy, 'templates', 'notes.yaml'), document)
    const notes = async (values: Values) => {
      const [, ...given] = await argumentsFor(values)
      const { stdout } = await home.run(helm.path, ['template', 'rel', copy, ...given, ...kube])
      const resources = parseAllDocuments(stdout).map((one) => one.toJS() as Resource | null)
      return String(resources.find((resource) => resource?.kind === 'Notes')?.text)
    }
    const told = await notes(cluster)
    assert.match(told, /exec deployment\/rel-berth -- berth password/)
    assert.match(told, /docker login berth\.registry\.example\.com -u berth/)
    assert.match(told, /--selector app\.kubernetes\.io\/name=berth,app\.kubernetes\.io\/instance=rel --output name/)
    assert.doesNotMatch(told, /trustedProxies|rollout restart/)
    assert.match(await notes({ ...byOwnSecrets, database: cluster.database }), /rollout restart deployment\/rel-berth/)
    assert.match(
      await notes({ publicPort: 8443 }),
      /docker login berth\.registry\.example\.com:8443[\s\S]*trustedProxies/,
    )
  })
})

function resourceOf(resources: readonly Resource[], kind: string): Resource {
  const found = resources.filter((resource) => resource.kind === kind)
  assert.equal(found.length, 1, `${kind}: ${found.length}`)
  return found[0]!
}

const podOf = (resources: readonly Resource[]) => resourceOf(resources, 'Deployment').spec.template
const containerOf = (resources: readonly Resource[]) => podOf(resources).spec.containers[0]
const fileOf = (resources: readonly Resource[]): string => resourceOf(resources, 'ConfigMap').data['berth.yaml']
const configOf = (resources: readonly Resource[]) => parse(fileOf(resources)) as Record<string, unknown>

/** The paths of all values that are no maps, or empty ones. */
function leavesOf(values: Values, path: readonly string[] = []): (readonly string[])[] {
  return Object.entries(values).flatMap(([name, value]) => {
    const isMap = typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length > 0
    return isMap ? leavesOf(value as Values, [...path, name]) : [[...path, name]]
  })
}

/** Another value that the schema takes. */
function otherThan(path: readonly string[], value: unknown): unknown {
  const special: Readonly<Record<string, unknown>> = {
    'image.digest': `sha256:${'a'.repeat(64)}`,
    'image.pullPolicy': 'Always',
    'database.url': 'postgres://other@db.example.com/berth',
    'secretKey.value': 'f'.repeat(64),
    'blobs.url': 'azure-blob://account/container',
    'service.type': 'LoadBalancer',
    mode: 'cluster',
    settings: { 'log-level': 'debug' },
    env: [{ name: 'X', value: 'y' }],
    envFrom: [{ secretRef: { name: 'x' } }],
    tolerations: [{ operator: 'Exists' }],
    'image.pullSecrets': [{ name: 'x' }],
  }
  const name = path.join('.')
  if (Object.hasOwn(special, name)) return special[name]
  if (typeof value === 'boolean') return !value
  if (typeof value === 'number') return value + 1
  if (typeof value === 'string') return `${value}x`
  if (Array.isArray(value)) return [...value, 'x']
  return { x: 'y' }
}

function withValue(values: Values, [name = '', ...rest]: readonly string[], value: unknown): Values {
  const inner = (values[name] ?? {}) as Values
  return { ...values, [name]: rest.length === 0 ? value : withValue(inner, rest, value) }
}
