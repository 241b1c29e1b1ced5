import assert from 'node:assert/strict'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import type { Berth } from './berth.ts'
import { client } from './clients/index.ts'
import { sha256 } from './images.ts'
import { getManifest, listTags } from './registry.ts'
import type { Home } from './run.ts'
import { storiesWith } from './story.ts'

const helm = client('helm')
const story = storiesWith([helm])

const transports: Record<string, (berth: Berth) => readonly string[]> = {
  '--plain-http': () => ['--plain-http'],
  '--ca-file': (berth) => ['--ca-file', berth.ca],
}

/** A packaged chart and its path. */
async function aChart(home: Home, name: string, version: string): Promise<string> {
  const folder = home.path(name)
  await mkdir(`${folder}/templates`, { recursive: true })
  await writeFile(
    `${folder}/Chart.yaml`,
    `apiVersion: v2\nname: ${name}\ndescription: a chart for ${name}\nversion: ${version}\nappVersion: "1"\n`,
  )
  await writeFile(`${folder}/values.yaml`, 'greeting: hello\n')
  await writeFile(
    `${folder}/templates/map.yaml`,
    'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: map\ndata:\n  greeting: {{ .Values.greeting }}\n',
  )
  await home.run(helm.path, ['package', folder, '--destination', home.folder])
  return home.path(`${name}-${version}.tgz`)
}

for (const [transport, flagsOf] of Object.entries(transports)) {
  story(`helm registry login, push, pull, show, template with ${transport}`, async ({ berth, home }) => {
    const name = `chart${transport.replaceAll(/\W+/g, '-')}`
    const flags = flagsOf(berth)
    const login = await home.run(
      helm.path,
      ['registry', 'login', ...flags, '--username', berth.username, '--password-stdin', berth.host],
      { input: berth.password },
    )
    assert.match(login.output, /Login Succeeded/)
    const chart = await aChart(home, name, '0.1.0')
    const pushed = await home.run(helm.path, ['push', chart, `oci://${berth.host}/helm`, ...flags])
    const stored = await getManifest(berth, `helm/${name}`, '0.1.0')
    assert.match(pushed.output, new RegExp(`Digest: ${stored.digest}`))
    const bytes = await readFile(chart)
    assert.deepEqual(
      stored.json.layers?.map(({ digest, mediaType }) => ({ digest, mediaType })),
      [{ digest: sha256(bytes), mediaType: 'application/vnd.cncf.helm.chart.content.v1.tar+gzip' }],
    )

    const remote = `oci://${berth.host}/helm/${name}`
    await mkdir(home.path('back'))
    await home.run(helm.path, ['pull', remote, '--version', '0.1.0', '--destination', home.path('back'), ...flags])
    assert.ok((await readFile(home.path('back', `${name}-0.1.0.tgz`))).equals(bytes))
    const shown = await home.run(helm.path, ['show', 'chart', remote, '--version', '0.1.0', ...flags])
    assert.match(shown.stdout, new RegExp(`description: a chart for ${name}`))
    const rendered = await home.run(helm.path, ['template', 'x', remote, '--set', 'greeting=moin', ...flags])
    assert.match(rendered.stdout, /greeting: moin/)
  })
}

story('helm pull › takes the highest version that fits, and fails after logout', async ({ berth, home }) => {
  const login = ['registry', 'login', '--plain-http', '-u', berth.username, '-p', berth.password, berth.host]
  await home.run(helm.path, login)
  for (const version of ['1.0.0', '1.2.0', '2.0.0']) {
    const chart = await aChart(home, 'versions', version)
    await home.run(helm.path, ['push', chart, `oci://${berth.host}/helm`, '--plain-http'])
  }
  assert.deepEqual(await listTags(berth, 'helm/versions'), ['1.0.0', '1.2.0', '2.0.0'])
  const remote = `oci://${berth.host}/helm/versions`
  const shown = await home.run(helm.path, ['show', 'chart', remote, '--version', '^1.0', '--plain-http'])
  assert.match(shown.stdout, /version: 1\.2\.0/)
  await home.run(helm.path, ['registry', 'logout', berth.host])
  const { output } = await home.runFailing(helm.path, ['pull', remote, '--version', '1.0.0', '--plain-http'])
  assert.match(output, /401|unauthorized|credential/i)
})

story('helm registry login › is refused with a wrong password', async ({ berth, home }) => {
  const login = ['registry', 'login', '--plain-http', '-u', berth.username, '-p', 'wrong', berth.host]
  assert.match((await home.runFailing(helm.path, login)).output, /401|unauthorized/i)
})
