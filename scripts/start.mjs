// `npm start -- [flags]`
import { runBerth } from './run.mjs'

await runBerth(['start', ...process.argv.slice(2)])
