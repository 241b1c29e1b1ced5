import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { repositoryFolder } from './clients/folders.ts'
import { client } from './clients/index.ts'
import { startDockerEngine } from './docker-engine.ts'
import { engineSkip } from './privileges.ts'
import { storiesWith } from './story.ts'

const story = storiesWith([client('docker'), client('dockerd')], { skip: engineSkip(), engine: startDockerEngine })

story("the README's tour works as it is printed, but for the port and the data folder", async (stage) => {
  const { berth, home, engine } = stage
  const commands = (await tourCommands())
    .filter((block) => block.trim() !== 'npm start') // that one has been typed already
    .map((block) => block.replaceAll('8443', String(berth.port)).replaceAll('data/', `${berth.dataFolder}/`))
  assert.ok(commands.length >= 6, 'the tour has lost its commands')
  const { output } = await home.run('bash', ['-euo', 'pipefail', '-c', commands.join('\n')], {
    cwd: repositoryFolder,
    env: { DOCKER_HOST: engine.address, BERTH_DATA: berth.dataFolder },
    timeoutSeconds: 120,
  })
  assert.match(output, /Login Succeeded/)
  assert.match(output, /"repositories":\["samples\/docs"\]/)
  assert.equal(output.match(/"tags":\["v1"\]/g)?.length, 2, 'over TLS and over plain HTTP')
  assert.match(output, /anonymous-pull=on/)
})

/** The code blocks between the tour's heading and the next one. */
async function tourCommands(): Promise<string[]> {
  const readme = await readFile(join(repositoryFolder, 'README.md'), 'utf8')
  const tour = readme.split(/^## /m).find((section) => section.startsWith('A tour in five minutes'))
  assert.ok(tour, 'the README has no tour')
  return [...tour.matchAll(/^```\n(.*?)^```$/gms)].map((found) => found[1] ?? '')
}
