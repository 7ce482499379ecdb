// Calls the API with the client that NSwag generates, and prints what it saw as JSON.
// `before` ends with a started consent, `after` continues once it is complete.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Threading.Tasks;
using Mailer;
using Newtonsoft.Json;
using Newtonsoft.Json.Converters;

static class Program
{
    static readonly string From = Environment.GetEnvironmentVariable("FROM_ADDRESS");

    static int Main(string[] arguments)
    {
        var seen = arguments[0] == "before" ? Before().Result : After().Result;
        Console.WriteLine(JsonConvert.SerializeObject(seen, new StringEnumConverter()));
        return 0;
    }

    static Client ClientWith(string token)
    {
        var trusted = File.ReadAllBytes(Environment.GetEnvironmentVariable("API_CERTIFICATE"));
        var http = new HttpClient(new HttpClientHandler
        {
            ServerCertificateCustomValidationCallback =
                (request, certificate, chain, errors) => certificate.GetRawCertData().SequenceEqual(trusted),
        });
        if (token != null) http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
        return new Client(http) { BaseUrl = Environment.GetEnvironmentVariable("API_URL") };
    }

    static Client Api() => ClientWith(Environment.GetEnvironmentVariable("API_TOKEN"));

    static async Task<object> Before()
    {
        var anonymous = ClientWith(null);
        var api = Api();
        var settings = await api.GetTenantSettingsAsync();
        var missing = await Refused(() => api.GetDeliveryAsync("no-such-mail"));
        var wrong = await Refused(() => api.EnableSendingAsync(null, new EnableBody { FromEmailAddress = "ada@" }));
        var unknown = await Refused(() => anonymous.GetTenantSettingsAsync());
        var started = await api.EnableSendingAsync(null, new EnableBody { FromEmailAddress = From });
        return new Dictionary<string, object>
        {
            ["health"] = (await anonymous.GetHealthAsync()).Status,
            ["settings"] = Shown(settings),
            ["missing"] = missing,
            ["wrong"] = wrong,
            ["unknown"] = unknown,
            ["flow"] = Shown(await api.GetConsentAsync(Guid.Parse(started.FlowId))),
            ["flowId"] = started.FlowId,
            ["startUrl"] = started.StartUrl,
        };
    }

    static async Task<object> After()
    {
        var api = Api();
        var flow = await api.GetConsentAsync(Guid.Parse(Environment.GetEnvironmentVariable("FLOW_ID")));
        var settings = await api.GetTenantSettingsAsync();
        var wanted = new SaveBody { FromEmailAddress = From, LargeFileAttachments = false };
        var unchanged = await api.SaveTenantSettingsAsync(null, wanted);
        wanted.AskAgain = true;
        var changed = await api.SaveTenantSettingsAsync(null, wanted);
        var mail = await api.SendTestMailAsync(new TestMailBody { To = "cfo@contoso.com" });
        var delivery = await Accepted(api, mail.MessageId);
        var list = await api.ListDeliveriesAsync(DeliveryStatus.Accepted, null, null, 5, null);
        var ready = await api.GetReadinessAsync();
        await api.ResetTenantSettingsAsync(null);
        return new Dictionary<string, object>
        {
            ["flow"] = Shown(flow),
            ["settings"] = Shown(settings),
            ["unchanged"] = unchanged.StartUrl,
            ["changed"] = changed.StartUrl.Contains("#ticket="),
            ["delivery"] = new Dictionary<string, object>
            {
                ["status"] = delivery.Status,
                ["to"] = delivery.Recipients.To,
                ["problem"] = delivery.Problem,
            },
            ["listed"] = list.Deliveries.Any(each => each.MessageId == mail.MessageId),
            ["ready"] = new Dictionary<string, object>
            {
                ["status"] = ready.Status,
                ["storage"] = ready.Parts.Values.All(part => part.Status == PartViewStatus.Ok),
            },
            ["reset"] = 204,
        };
    }

    static async Task<DeliveryView> Accepted(Client api, string messageId)
    {
        for (var tries = 0; tries < 300; tries++, await Task.Delay(200))
        {
            try
            {
                var delivery = await api.GetDeliveryAsync(messageId);
                if (delivery.Status == DeliveryStatus.Accepted) return delivery;
            }
            catch (ApiException<ProblemDocument> problem) when (problem.Result.Code == "delivery_not_found")
            {
                // The app has not met the message yet.
            }
        }
        throw new TimeoutException("The mail was not accepted.");
    }

    static object Shown(SettingsView settings) => new Dictionary<string, object>
    {
        ["status"] = settings.Status,
        ["from"] = settings.FromEmailAddress,
        ["problem"] = settings.Problem,
    };

    static object Shown(FlowView flow) => new Dictionary<string, object>
    {
        ["status"] = flow.Status,
        ["stage"] = flow.Stage,
        ["problem"] = flow.Problem?.Code,
    };

    static async Task<object> Refused<T>(Func<Task<T>> call)
    {
        try
        {
            await call();
        }
        catch (ApiException<ProblemDocument> refused)
        {
            var problem = refused.Result;
            return new Dictionary<string, object>
            {
                ["status"] = refused.StatusCode,
                ["code"] = problem.Code,
                ["whoActs"] = problem.WhoActs,
                ["fields"] = (problem.Errors ?? new List<BrokenField>()).Select(each => each.Field),
            };
        }
        throw new InvalidOperationException("The call was not refused.");
    }
}
