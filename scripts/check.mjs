// `npm run check`: what the compiler and the linter have to say about everything.
import { join } from 'node:path'
import { root } from './prepare.mjs'
import { prepareOrExit, run } from './run.mjs'

const node = await prepareOrExit({ development: true })
const modules = join(root, 'node_modules')
const checks = [
  [join(modules, 'typescript', 'bin', 'tsc'), '--noEmit'],
  [join(modules, '@biomejs', 'biome', 'bin', 'biome'), 'check', '--error-on-warnings', '.'],
]
const codes = await Promise.all(checks.map((args) => run(node, args, { cwd: root })))
process.exit(Math.max(...codes))
