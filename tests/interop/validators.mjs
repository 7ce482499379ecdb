// Says which values each validator of npm takes: reads {schema, values} on stdin, writes {validator: [true, …]}.

import { text } from "node:stream/consumers";
import { Validator as Cfworker } from "@cfworker/json-schema";
import { validator as schemasafe } from "@exodus/schemasafe";
import { registerSchema, validate } from "@hyperjump/json-schema/draft-2020-12";
import { Ajv2020 } from "ajv/dist/2020.js";
import { Validator as Jsonschema } from "jsonschema";

const { schema, values } = JSON.parse(await text(process.stdin));
const address = "https://schemas.example/under-test";

async function hyperjump() {
  registerSchema(structuredClone(schema), address);
  const check = await validate(address);
  return (value) => check(value).valid;
}

const validators = {
  // Whatever ajv calls unclear is an error.
  ajv: () => new Ajv2020({ strict: true }).compile(schema),
  cfworker: () => {
    const validator = new Cfworker(schema, "2020-12");
    return (value) => validator.validate(value).valid;
  },
  hyperjump,
  jsonschema: () => {
    const validator = new Jsonschema();
    return (value) => validator.validate(value, schema).valid;
  },
  schemasafe: () => schemasafe(schema),
};

const verdicts = {};
for (const [name, build] of Object.entries(validators)) {
  const takes = await build();
  verdicts[name] = values.map((value) => Boolean(takes(value)));
}
process.stdout.write(JSON.stringify(verdicts));
