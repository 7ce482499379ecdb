// Says which values NJsonSchema takes: reads {schema, values} on stdin, writes [true, ...].
using System;
using System.Linq;
using Newtonsoft.Json;
using Newtonsoft.Json.Linq;
using NJsonSchema;

static class Program
{
    static void Main()
    {
        var input = JObject.Load(new JsonTextReader(Console.In) { DateParseHandling = DateParseHandling.None });
        var schema = JsonSchema.FromJsonAsync(input["schema"].ToString()).Result;
        Console.Write(JsonConvert.SerializeObject(input["values"].Select(each => !schema.Validate(each).Any())));
    }
}
