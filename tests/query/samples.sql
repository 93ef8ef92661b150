-- The sample queries of insights-programmatic-custom-query.md, insights-programmatic-sample-queries.md and the walkthrough;
-- a blank line parts two of them, and line breaks within one are the documents' own.

SELECT CustomerTenantId, PaidAvailableUnits FROM OfficeUsage TIMESPAN LAST_MONTH

SELECT CustomerTenantId, PaidAvailableUnits FROM OfficeUsage ORDER BY PaidAvailableUnits LIMIT 10

SELECT CustomerTenantId, PaidAvailableUnits, MonthlyActiveUsers FROM OfficeUsage WHERE MonthlyActiveUsers > 100000 ORDER BY MonthlyActiveUsers TIMESPAN LAST_6_MONTHS

SELECT CustomerTenantId, Month, MonthlyActiveUsers FROM OfficeUsage WHERE CustomerTpId IN ('2a31c234-1f4e-4c60-909e-76d234f93161', '80780748-3f9a-11eb-b378-0242ac130002')

SELECT CustomerTenantId, PaidAvailableUnits FROM OfficeUsage WHERE CustomerName LIKE '%Contoso%'

SELECT CustomerTenantId FROM OfficeUsage WHERE CustomerTpid NOT IN (1000, 1001, 1002) AND PaidAvailableUnits=100

SELECT DISTINCT CustomerTenantId FROM  OfficeUsage ORDER BY  MonthlyActiveUsers ASC,  Month DESC;

SELECT SubscriptionId from DynamicsUsage 

SELECT TrainingActivityId from TrainingCompletions TIMESPAN LIFETIME

SELECT CustomerName, Product, BilledRevenueUSD FROM CustomersAndTenants ORDER BY BilledRevenueUSD LIMIT 10 TIMESPAN LAST_MONTH

SELECT CustomerName, CustomerTpid, Product
FROM CustomersAndTenants
WHERE CustomerMarket='United States' TIMESPAN LAST_MONTH

SELECT CustomerName, CustomerTpid, SKU, Month, BilledRevenueUSD
FROM CustomersAndTenants
WHERE SKU='MICROSOFT 365 BUSINESS STANDARD' AND BilledRevenueUSD>20000 TIMESPAN LAST_6_MONTHS

SELECT CustomerName, CustomerTpid, Product, AvailableSeats
FROM CustomersAndTenants ORDER BY AvailableSeats DESC LIMIT 10 TIMESPAN LAST_MONTH

SELECT MPNId, PartnerName
FROM Profile
WHERE Country='United States'

SELECT ResellerMpnId, ResellerName
FROM ResellerPerformance
WHERE ResellerMarket='US' TIMESPAN LAST_MONTH

SELECT ResellerMpnId, ResellerName, CustomerCount, SubscriptionCount, TotalAvailableSeats, TotalAssignedSeats, TotalRevenue
FROM ResellerPerformance
WHERE ResellerMpnId='1051xxx'

SELECT ResellerMpnId, ResellerName, TotalRevenue
FROM ResellerPerformance
ORDER BY TotalRevenue
LIMIT 10
TIMESPAN LAST_MONTH

SELECT SubscriptionId, SubscriptionEndDate, CustomerName, CustomerTpid, Product
FROM SeatsSubscriptionsAndRevenue
WHERE IsAutoRenew='N' TIMESPAN LAST_MONTH

SELECT SubscriptionId, SubscriptionEndDate, CustomerName, CustomerTpid, Product
FROM SeatsSubscriptionsAndRevenue
WHERE SubscriptionState='Disabled' TIMESPAN LAST_MONTH

SELECT MPNId, SubscriptionCount, TotalSoldSeats, BilledRevenueUSD, CustomerCount
FROM SeatsSubscriptionsAndRevenue
WHERE MPNId=6096xxx TIMESPAN LAST_6_MONTHS

SELECT SubscriptionId, CustomerName, Month, UsageUnits, UsageQuantity, TotalACR
FROM AzureUsage
WHERE MeterCategory='Azure DNS'
TIMESPAN LAST_6_MONTHS

SELECT SubscriptionId, ServiceName, CustomerName, Month, UsageUnits, UsageQuantity, TotalACR
FROM AzureUsage
WHERE TotalACR>20000 TIMESPAN LAST_6_MONTHS

SELECT MPNId, PartnerName, PGAPartnerID
FROM Profile
WHERE PGAMpnID='1001xx'
